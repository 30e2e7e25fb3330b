/** The one style sheet. Colours have a contrast of 4.5 to 1 at least in both schemes; what can be clicked has 24 px at least. */
export const STYLE = `
:root { color-scheme: light dark; --back: #fff; --fore: #1b1f24; --soft: #57606a; --line: #d0d7de; --edge: #818b95; --panel: #f6f8fa;
  --link: #0550ae; --on-link: #fff; --focus: #0550ae; --good: #116329; --wait: #7a4d00; --bad: #a40e26; --good-back: #e3f5e8;
  --wait-back: #fff3d1; --bad-back: #fdeaec; --link-back: #e3effd; }
@media (prefers-color-scheme: dark) { :root { --back: #0d1117; --fore: #e6edf3; --soft: #a3adb8; --line: #343b44; --edge: #768390;
  --panel: #161b22; --link: #79b8ff; --on-link: #0d1117; --focus: #79b8ff; --good: #56d364; --wait: #e3b341; --bad: #ff8f87;
  --good-back: #10281a; --wait-back: #2c220a; --bad-back: #34161a; --link-back: #10233b; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--back); color: var(--fore); font: 1rem/1.5 system-ui, sans-serif; }
a { color: var(--link); }
:focus-visible { outline: 3px solid var(--focus); outline-offset: 2px; }
.skip { position: absolute; left: -100rem; background: var(--back); padding: .5rem 1rem; }
.skip:focus { left: .5rem; top: .5rem; z-index: 1; }
.danger { margin: 0; padding: .5rem 1rem; background: #a40e26; color: #fff; font-weight: bold; }
header, main, footer { padding: .5rem max(1rem, calc((100% - 78rem) / 2)); }
main { overflow-wrap: anywhere; min-height: 60vh; }
header { display: flex; flex-wrap: wrap; gap: .25rem 1rem; align-items: center; background: var(--panel); border-bottom: 1px solid var(--line); }
header p { margin: 0; }
.brand { font-weight: 700; white-space: nowrap; }
.brand::before { content: "✔"; content: "✔" / ""; display: inline-block; width: 1.5rem; margin-right: .5rem; border-radius: .3rem; text-align: center;
  background: var(--link); color: var(--on-link); }
nav ul { display: flex; flex-wrap: wrap; gap: .15rem; list-style: none; margin: 0; padding: 0; }
nav a { display: inline-block; min-height: 2rem; padding: .25rem .6rem; border-radius: .4rem; text-decoration: none; }
nav a:hover { text-decoration: underline; }
nav a[aria-current] { font-weight: bold; background: var(--link-back); }
.tabs { border-bottom: 1px solid var(--line); margin-top: 1.25rem; }
.tabs a { border-radius: .4rem .4rem 0 0; border-bottom: 3px solid transparent; }
.tabs a[aria-current] { border-bottom-color: var(--link); }
header form { margin-left: auto; font-size: .9rem; }
footer { margin-top: 2rem; border-top: 1px solid var(--line); }
h1 { font-size: 1.6rem; line-height: 1.25; overflow-wrap: anywhere; margin: 1.25rem 0 .75rem; }
h2 { font-size: 1.2rem; margin: 2rem 0 .75rem; }
h3 { font-size: 1rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; margin: 1rem 0; }
caption { text-align: left; font-weight: bold; padding: .25rem 0 .5rem; }
th, td { text-align: left; vertical-align: top; padding: .5rem .6rem; border-bottom: 1px solid var(--line); overflow-wrap: anywhere; }
thead th { color: var(--soft); font-size: .85rem; background: var(--panel); border-top: 1px solid var(--line); overflow-wrap: normal; }
tbody th { min-width: 4rem; } td { min-width: 4rem; }
tbody tr:hover { background: var(--panel); }
time, .digest, .short { white-space: nowrap; }
.person { min-width: 11rem; }
code, pre { font-family: ui-monospace, monospace; font-size: .9rem; overflow-wrap: anywhere; }
pre { background: var(--panel); border: 1px solid var(--line); border-radius: .4rem; padding: .75rem; overflow-x: auto; white-space: pre-wrap; }
dl { display: grid; grid-template-columns: minmax(8rem, max-content) minmax(0, 1fr); gap: .25rem 1rem; }
dt { color: var(--soft); }
dd { margin: 0; overflow-wrap: anywhere; }
label { display: block; font-weight: bold; margin-top: .75rem; }
label.beside { display: inline-flex; gap: .5rem; align-items: center; font-weight: normal; min-height: 2rem; }
input, select, textarea { font: inherit; width: 100%; max-width: 32rem; min-height: 2.25rem; padding: .25rem .5rem; color: var(--fore);
  background: var(--back); border: 1px solid var(--edge); border-radius: .4rem; }
input[type="checkbox"] { width: 1.5rem; min-height: 1.5rem; }
textarea { min-height: 4.5rem; }
textarea[rows] { max-width: none; font-family: ui-monospace, monospace; font-size: .9rem; }
button { font: inherit; min-height: 2.25rem; min-width: 2.25rem; padding: .25rem .9rem; border: 1px solid var(--edge); border-radius: .4rem;
  background: var(--panel); color: var(--fore); cursor: pointer; }
button:hover { border-color: var(--fore); }
button.main { background: var(--link); border-color: var(--link); color: var(--on-link); font-weight: bold; }
button.grave { border-color: var(--bad); color: var(--bad); }
button:disabled { cursor: not-allowed; color: var(--soft); border-style: dashed; }
progress { width: 8rem; height: .75rem; accent-color: var(--link); vertical-align: middle; }
.hint, .soft { color: var(--soft); font-size: .9rem; }
.purpose { display: block; color: var(--soft); font-size: .9rem; font-weight: normal; }
.notice { border: 1px solid var(--line); border-left: .3rem solid var(--edge); border-radius: .4rem; background: var(--panel); padding: .5rem 1rem; margin: 1rem 0; }
.notice.bad { border-left-color: var(--bad); background: var(--bad-back); }
.notice.good { border-left-color: var(--good); background: var(--good-back); }
.state { display: inline-block; white-space: nowrap; font-weight: bold; padding: 0 .55rem; border-radius: 1rem; background: var(--panel); }
.state.good { color: var(--good); background: var(--good-back); }
.state.wait { color: var(--wait); background: var(--wait-back); }
.state.bad { color: var(--bad); background: var(--bad-back); }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(14rem, 100%), 1fr)); gap: 1rem; list-style: none; padding: 0; }
.cards li { border: 1px solid var(--line); border-radius: .5rem; padding: .75rem 1rem; }
.cards strong { display: block; font-size: 1.75rem; line-height: 1.3; }
.filters { display: grid; grid-template-columns: repeat(auto-fill, minmax(12rem, 1fr)); gap: 0 1rem; align-items: end; }
.acts { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(22rem, 100%), 1fr)); gap: 1rem; align-items: start; }
.act { border: 1px solid var(--line); border-radius: .5rem; padding: 0 1rem 1rem; margin: 1rem 0; }
.acts .act { margin: 0; }
.whole { user-select: all; }
.copyable { display: flex; flex-wrap: wrap; gap: .25rem .75rem; align-items: center; }
.copyable pre { flex: 1 1 16rem; min-width: 0; margin: .25rem 0; }
.copy { min-height: 1.5rem; padding: 0 .6rem; font-size: .85rem; visibility: hidden; }
[data-scripted] .copy { visibility: visible; }
.history { display: block; width: 100%; height: 8rem; border-bottom: 1px solid var(--edge); } .history .day { fill: var(--panel); }
.ends { display: flex; justify-content: space-between; margin: .25rem 0 .75rem; }
.history .acquired { fill: var(--edge); } .history .quarantined { fill: var(--wait); }
.history .trusted { fill: var(--good); } .history .revoked { fill: var(--bad); } .history .deleted { fill: var(--line); }
.key.acquired { color: var(--edge); } .key.quarantined { color: var(--wait); } .key.trusted { color: var(--good); }
.key.revoked { color: var(--bad); } .key.deleted { color: var(--line); }
.graph { font-size: .75rem; } .graph text { fill: var(--fore); } .graph .detail { fill: var(--soft); } .graph .title { font-weight: bold; }
.graph .node { fill: var(--panel); stroke: var(--edge); } .graph .edge { fill: none; stroke: var(--edge); stroke-width: 1.5; }
.graph .node.good { stroke: var(--good); fill: var(--good-back); } .graph .node.wait { stroke: var(--wait); fill: var(--wait-back); stroke-dasharray: 4 3; }
.graph text.good { fill: var(--good); } .graph text.wait { fill: var(--wait); }
.said { position: fixed; right: 1rem; bottom: 1rem; max-width: min(28rem, 100vw - 2rem); margin: 0; padding: .5rem 1rem;
  background: var(--fore); color: var(--back); border-radius: .4rem; }
.said:empty { padding: 0; }
@media (scripting: none) { .keys, .copy { display: none; } }
.card { border: 1px solid var(--line); border-radius: .5rem; padding: 0 1rem; overflow-wrap: anywhere; }
.card blockquote { margin: 1rem 0; padding: 0 1rem; border-left: .3rem solid var(--line); }
@media (min-width: 64rem) { #head dl { grid-template-columns: max-content minmax(0, 1fr) max-content minmax(0, 1fr); gap: .4rem 1.25rem; }
  #head dd:first-of-type { grid-column: 2 / -1; } }
@media (max-width: 64rem) {
  .stack, .stack tbody, .stack tr, .stack caption, .stack td, .stack tbody th { display: block; }
  .stack thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
  .stack tr { border-bottom: 1px solid var(--line); padding: .6rem 0; }
  .stack td, .stack tbody th { border: 0; padding: .1rem 0; min-width: 0; }
  .stack td:empty { display: none; }
  .stack td::before { content: attr(data-label) ": "; content: attr(data-label) ": " / ""; color: var(--soft); }
}
@media (max-width: 40rem) { dl { grid-template-columns: minmax(0, 1fr); } dd { margin-bottom: .5rem; } }
@media (prefers-reduced-motion: no-preference) { a, button { transition: background-color .1s; } }
`;
