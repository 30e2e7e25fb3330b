import { type Html, html } from "./html.ts";
import { type ArtifactName, digestLink, shortDigest } from "./links.ts";
import { NODE_HEIGHT, NODE_WIDTH, type PlacedEdge, type PlacedNode, type ProvenanceNode, layoutProvenance } from "./provenance-layout.ts";
import { bytesOf } from "./room.ts";
import { table } from "./table.ts";
import { foreign, readable } from "./text.ts";
import { shortType } from "./type-name.ts";

/** A place in the provenance that may have a page of its own. */
export interface ShownProvenanceNode extends ProvenanceNode {
  readonly link: ArtifactName | undefined;
}

/** The provenance of an artifact. */
export interface ShownProvenance {
  readonly nodes: readonly ShownProvenanceNode[];
  /** True when there is more than was looked for. */
  readonly isCut: boolean;
  /** Bytes that the page has for it. */
  readonly room: number;
}

/** Characters of a line in a node of the picture. */
const MAX_LINE = 22;
/** Bytes of the tab besides picture and list. */
const ROUND_LIST = 2_500;
/** Together in the picture and in the list. */
const MAX_SHOWN = 41;

const STANDINGS = {
  claimed: { icon: "?", tone: "wait" },
  verified: { icon: "✔", tone: "good" },
  recorded: { icon: "●", tone: "plain" },
} as const;

const STAGE_NAMES = {
  source: "Source",
  build: "Build",
  artifact: "This artifact",
  related: "Other artifact",
  promotion: "Promotion",
} as const;

/** Where an artifact comes from and where it went: a picture, and the same as a list. */
export function provenanceTab({ nodes, isCut, room }: ShownProvenance): Html {
  return html`<h2>Provenance</h2>
    <p class="soft">
      From what it was made of to where runtimes find it. “Claimed” is what somebody wrote who pushed it, and may be wrong; “verified” is
      signed by an authority of a policy; “recorded” the registry knows itself.
    </p>
    ${shown(nodes, room - ROUND_LIST)}
    ${isCut && html`<p class="soft">There is more than was looked for: the tabs Contents and Referrers list all of it.</p>`}`;
}

/** A page has a bound, however much markup some names make: what has no room is counted. */
function shown(nodes: readonly ShownProvenanceNode[], room: number): Html {
  let count = Math.min(nodes.length, MAX_SHOWN);
  for (;;) {
    const some = nodes.slice(0, count);
    const made = html`${picture(some)} ${list(some)}`;
    if (bytesOf(made) <= room || count === 0) {
      return html`${made} ${nodes.length > count && html`<p>and ${nodes.length - count} more.</p>`}`;
    }
    count = Math.floor(count / 2);
  }
}

function picture(all: readonly ShownProvenanceNode[]): Html {
  const { nodes, edges, width, height, left } = layoutProvenance(all);
  return html`<div class="wide" tabindex="0" role="region" aria-label="Picture of the provenance">
      <svg
        class="graph"
        role="img"
        aria-label="The provenance as a graph; the table below says the same"
        viewBox="0 0 ${width} ${height}"
        width="${width}"
        height="${height}"
      >
        ${edges.map(line)}${nodes.map(box)}
      </svg>
    </div>
    ${left > 0 && html`<p>and ${left} more, which are in the table only.</p>`}`;
}

function line({ fromX, fromY, toX, toY }: PlacedEdge): Html {
  const middle = (fromX + toX) / 2;
  return html`<path class="edge" d="M${fromX} ${fromY}C${middle} ${fromY} ${middle} ${toY} ${toX} ${toY}" />`;
}

function box({ node, x, y }: PlacedNode<ShownProvenanceNode>): Html {
  const { icon, tone } = STANDINGS[node.standing];
  const lines = [
    { text: `${icon} ${node.standing}`, type: `standing ${tone}` },
    { text: node.stage === "related" ? shortType(node.title) : node.title, type: "title" },
    { text: node.detail, type: "detail" },
  ];
  return html`<rect class="node ${tone}" x="${x}" y="${y}" width="${NODE_WIDTH}" height="${NODE_HEIGHT}" rx="4" />${lines.map(
      ({ text, type }, at) => html`<text class="${type}" x="${x + 8}" y="${y + 17 + at * 17}">${readable(text, MAX_LINE)}</text>`,
    )}`;
}

function list(nodes: readonly ShownProvenanceNode[]): Html {
  return html`${table({
    caption: "The same as a list",
    columns: ["What", "Name", "More", "How it is known"],
    rows: nodes.map(({ stage, title, detail, standing, by, link }) => [
      STAGE_NAMES[stage],
      html`${foreign(title, 100)}${link !== undefined && html` ${digestLink(link, shortDigest(link.digest))}`}`,
      foreign(detail, 100),
      html`<span class="state ${STANDINGS[standing].tone}"><span aria-hidden="true">${STANDINGS[standing].icon}</span> ${standing}</span>
        ${foreign(by, 100)}`,
    ]),
    empty: "Nothing is known.",
  })}`;
}
