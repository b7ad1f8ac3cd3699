#!/usr/bin/env bash
# Lints durable functions and replays recorded executions against them, on any CI system.
#
#   SOURCE     folders and files to lint (default: src); empty skips the lint
#   HISTORIES  recorded executions, files or folders; empty skips the replay
#   HANDLER    the handler to replay against, for example shop.orders:process_order
#   OUTPUT     folder for the reports (default: durable-reports)
#
# Writes OUTPUT/sarif/*.sarif, OUTPUT/junit.xml and OUTPUT/report.html. On GitHub it also annotates the lines and writes a summary
# into the job page. The exit code is the worst one: 0 success, 1 a divergence or finding, 3 cannot load, 4 the handler failed. In
# the composite action (with GITHUB_OUTPUT) it exits with 0 and passes the code on as `exit-code`.
set -uo pipefail

read -ra source <<<"${SOURCE-src}"
read -ra histories <<<"${HISTORIES-}"
read -ra handler <<<"${HANDLER-}"
output=${OUTPUT:-durable-reports}
summary=${GITHUB_STEP_SUMMARY:-/dev/null}
format=text
[ -z "${GITHUB_ACTIONS-}" ] || format=github
worst=0
mkdir -p "$output/sarif"

# Remember the worst exit code, and write a line of the summary.
note() {
    [ "$1" -le "$worst" ] || worst=$1
    printf '| %s | %s |\n' "$2" "$([ "$1" = 0 ] && echo passed || echo "**failed**, exit code $1")" >>"$summary"
}

printf '## Durable functions\n\n| Check | Result |\n|---|---|\n' >>"$summary"

if [ "${#source[@]}" -gt 0 ]; then
    durable-debug lint "${source[@]}" --format sarif >"$output/sarif/lint.sarif"
    durable-debug lint "${source[@]}" --format "$format"
    note $? "lint \`${source[*]}\`"
fi

if [ "${#histories[@]}" -gt 0 ]; then
    durable-debug check "${histories[@]}" "${handler[@]}" --format sarif -o "$output/sarif/check.sarif" 2>/dev/null
    durable-debug check "${histories[@]}" "${handler[@]}" --format junit -o "$output/junit.xml" --html "$output/report.html" --lines 2>/dev/null
    durable-debug check "${histories[@]}" "${handler[@]}" --format "$format"
    note $? "replay \`${histories[*]}\`"
fi

if [ -n "${GITHUB_OUTPUT-}" ]; then
    echo "exit-code=$worst" >>"$GITHUB_OUTPUT"
    exit 0
fi
exit "$worst"
