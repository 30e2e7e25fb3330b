/** Texts that would do something if a page took them for anything but text; what they would leave behind is looked for on every page. */
export const HOSTILE = [
  `<script>console.log("hostile")</script><b hostile>`,
  `"><img src="https://hostile.example/x.png" onerror="alert(1)">`,
  `javascript:alert(document.domain)`,
  `' onmouseover='alert(1)' hostile='`,
  `</textarea></title></style><svg onload=alert(1)><iframe src=javascript:alert(1)>`,
  `\u202egnp.ledom\u202c looks like a picture \u0007\u200b`,
  `\u0627\u0644\u0646\u0645\u0648\u0630\u062c \u05d0\u05d9\u05e9\u05d5\u05e8`,
  "x".repeat(100_000),
] as const;

/** A model card with everything that a renderer of Markdown could trip over. */
export const HOSTILE_CARD = [
  "# A model <img src=x onerror=alert(1)>",
  "[click](javascript:alert(1)) [data](data:text/html;base64,PHNjcmlwdD4=) ![pixel](https://hostile.example/pixel.png)",
  "<script>console.log('hostile')</script>",
  "<a hostile href='jav&#x09;ascript:alert(1)'>link</a> <https://hostile.example/>",
  "```html\n</code></pre><script>console.log('hostile')</script>\n```",
  ...HOSTILE.slice(0, 7),
  `${"[".repeat(5000)}${"](".repeat(2000)}`,
  `${"> ".repeat(500)}deep`,
].join("\n\n");
