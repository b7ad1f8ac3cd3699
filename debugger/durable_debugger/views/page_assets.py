"""The style and the script of the HTML page, apart from the code that writes it, so that each can be read on its own."""

STYLE = """
:root { color-scheme: light dark; --ok: #00694d; --fail: #a84a00; --wait: #8a5f00; --run: #0072B2; --div: #96497a; }
@media (prefers-color-scheme: dark) {
  :root { --ok: #2bc79a; --fail: #ff8a3d; --wait: #E69F00; --run: #56B4E9; --div: #e39ac4; }
}
* { box-sizing: border-box } i { font-style: normal }
body { font: 13px/1.35 ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace; margin: 1.5em; }
h1 { font-size: 1.3em } h2, h3 { display: inline; font-size: 1.05em }
h1, h2, h3, .report > summary { white-space: normal; overflow-wrap: anywhere }
pre, summary { white-space: pre; margin: 0; font: inherit } summary { cursor: pointer; list-style: none }
summary:hover, summary:focus-visible, button:hover { background: color-mix(in srgb, currentColor 12%, transparent) }
:focus-visible { outline: 2px solid var(--run); outline-offset: 1px }
.scroll { overflow-x: auto } ol { list-style: none; margin: 0; padding: 0 }
li details[open] > pre { margin: .3em 0 .8em 4ch }
li.future { opacity: .35 } li.now > details > summary { background: color-mix(in srgb, var(--run) 25%, transparent) }
.scrubber { position: sticky; top: 0; display: flex; gap: 1ch; align-items: center; padding: .5em 0; background: Canvas; z-index: 1 }
.scrubber[hidden] { display: none } .scrubber input { flex: 1; min-width: 8em } output { flex: 2; min-width: 10em }
.five { border-left: 3px solid var(--div); margin: 1em 0; padding: .3em 1em } dl { display: grid; grid-template-columns: 10ch 1fr; margin: .5em 0 }
dt { opacity: .7 } dd { margin: 0; white-space: pre-wrap; overflow-wrap: anywhere }
table { border-collapse: collapse; margin: 1em 0 } th, td { text-align: left; padding: .2em 1.5ch .2em 0; vertical-align: top }
.report { margin: 1em 0; border-top: 1px solid color-mix(in srgb, currentColor 25%, transparent); padding-top: .5em }
.dim, .off, .key { opacity: .7 } .title, .name { font-weight: 600 } .ok { color: var(--ok) } .wait { color: var(--wait) }
.fail { color: var(--fail); font-weight: 600 } .run, .recorded { color: var(--run) } .replayed { color: var(--wait) }
.divergence { color: var(--div); font-weight: 700 } .follow_on { color: var(--div); opacity: .8 } dd.fix { font-weight: 600 }
@media (max-width: 40em) { body { margin: .7em } .scrubber { flex-wrap: wrap } output { flex-basis: 100% } }
@media print { .scrubber { display: none } li.future { opacity: 1 } }
"""

SCRIPT = """
for (const calls of document.querySelectorAll('.calls')) {
  const count = Number(calls.dataset.count);
  if (!count) continue;
  const bar = calls.querySelector('.scrubber'), range = bar.querySelector('input'), output = bar.querySelector('output');
  const rows = [...calls.querySelectorAll('li[data-at]')];
  const byNumber = new Map(rows.map(row => [Number(row.dataset.at), row]));
  bar.hidden = false;
  const show = isStep => {
    const at = Number(range.value), current = at > 0 ? byNumber.get(at) : null;
    for (const row of rows) {
      row.classList.toggle('future', Number(row.dataset.at) > at);
      row.classList.toggle('now', isStep && row === current);
    }
    const what = current ? `${current.dataset.name}, ${current.dataset.status}` : 'before the first call';
    output.textContent = `call ${at} of ${count}: ${what}`;
    range.setAttribute('aria-valuetext', output.textContent);
    if (isStep && current) current.scrollIntoView({ block: 'nearest' });
  };
  const step = by => { range.value = Math.min(count, Math.max(0, Number(range.value) + by)); show(true); };
  range.addEventListener('input', () => show(true));
  for (const button of bar.querySelectorAll('button')) button.addEventListener('click', () => step(Number(button.dataset.step)));
  calls.step = step;
  calls.toggle = () => { const row = byNumber.get(Number(range.value)); if (row) row.firstChild.open = !row.firstChild.open; };
  show(false);
}
document.addEventListener('keydown', event => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.tagName === 'INPUT') return;
  const shown = [...document.querySelectorAll('.calls')].filter(calls => calls.step && calls.offsetParent !== null);
  const calls = shown.find(each => each.contains(document.activeElement)) ?? shown[0];
  if (!calls) return;
  if (event.key === 'n') calls.step(1);
  else if (event.key === 'N') calls.step(-1);
  else if (event.key === 'v') calls.toggle();
  else return;
  event.preventDefault();
});
"""
