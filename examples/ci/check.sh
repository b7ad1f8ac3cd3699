#!/usr/bin/env bash
# Lints durable functions and replays recorded executions against them, on any CI system.
#
#   SOURCE     folders and files to lint (default: src); empty skips the lint
#   HISTORIES  recorded executions, files or folders; empty skips the replay
#   HANDLER    the handler to replay against, for example shop.orders:process_order
#   OUTPUT     folder for the reports (default: durable-reports)
#
# Writes OUTPUT/sarif/*.sarif, OUTPUT/junit.xml and OUTPUT/report.html. On GitHub it also annotates the changed lines and writes
# a summary into the job page. The exit code is the worst one: 0 success, 1 a divergence or finding, 3 cannot load, 4 the handler
# failed. As a step of the composite action it always exits with 0, and passes the code on in `exit-code`.
set -uo pipefail

SOURCE=${SOURCE-src}
HISTORIES=${HISTORIES-}
HANDLER=${HANDLER-}
OUTPUT=${OUTPUT:-durable-reports}
SUMMARY=${GITHUB_STEP_SUMMARY:-/dev/null}
worst=0
mkdir -p "$OUTPUT/sarif"

# Remember the worst exit code.
note() { [ "$1" -le "$worst" ] || worst=$1; }

# Count of a phrase in a file.
count() { grep -c "$1" "$2" 2>/dev/null || true; }

printf '## Durable functions\n\n| Check | Result |\n|---|---|\n' >>"$SUMMARY"

if [ -n "$SOURCE" ]; then
    # shellcheck disable=SC2086  # several folders
    durable-debug lint $SOURCE --format sarif >"$OUTPUT/sarif/lint.sarif"; note $?
    # shellcheck disable=SC2086
    durable-debug lint $SOURCE --format "${GITHUB_ACTIONS:+github}${GITHUB_ACTIONS-text}" 2>/dev/null | sed 's/^githubtrue$//' \
        || true
    findings=$(count '"ruleId"' "$OUTPUT/sarif/lint.sarif")
    printf '| lint `%s` | %s |\n' "$SOURCE" "$([ "$findings" = 0 ] && echo 'no findings' || echo "**findings: $findings**")" >>"$SUMMARY"
fi

if [ -n "$HISTORIES" ]; then
    # shellcheck disable=SC2086  # several folders, several handlers
    durable-debug check $HISTORIES $HANDLER --format junit -o "$OUTPUT/junit.xml" --html "$OUTPUT/report.html"; code=$?; note $code
    # shellcheck disable=SC2086
    durable-debug check $HISTORIES $HANDLER --format sarif -o "$OUTPUT/sarif/check.sarif" >/dev/null 2>&1
    if [ -n "${GITHUB_ACTIONS-}" ]; then
        # shellcheck disable=SC2086
        durable-debug check $HISTORIES $HANDLER --format github
    else
        # shellcheck disable=SC2086
        durable-debug check $HISTORIES $HANDLER
    fi
    printf '| replay `%s` | %s |\n' "$HISTORIES" "$([ "$code" = 0 ] && echo 'same' || echo "**exit code $code**")" >>"$SUMMARY"
fi

[ -z "${GITHUB_OUTPUT-}" ] || { echo "exit-code=$worst" >>"$GITHUB_OUTPUT"; exit 0; }
exit "$worst"
