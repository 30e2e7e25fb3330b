/** From left to right: what something was made of, by whom, what came of it. */
export const STAGES = ["source", "build", "artifact", "promotion", "related"] as const;
type Stage = (typeof STAGES)[number];
/** What came of an artifact stands in one column, so that no line passes behind a place. */
const COLUMNS: readonly (readonly Stage[])[] = [["source"], ["build"], ["artifact"], ["promotion", "related"]];

/** What is known of a place in the provenance, and how: said by somebody, verified, or the registry's own record. */
export interface ProvenanceNode {
  readonly stage: Stage;
  readonly title: string;
  readonly detail: string;
  readonly standing: "claimed" | "verified" | "recorded";
  /** By whose word, in a few words. */
  readonly by: string;
}

/** A node in its place, in pixels. */
export interface PlacedNode<Node extends ProvenanceNode> {
  readonly node: Node;
  readonly x: number;
  readonly y: number;
}

/** A line from one place to another. */
export interface PlacedEdge {
  readonly fromX: number;
  readonly fromY: number;
  readonly toX: number;
  readonly toY: number;
}

/** A picture of a provenance; `left` nodes had no room in it. */
export interface Layout<Node extends ProvenanceNode> {
  readonly nodes: readonly PlacedNode<Node>[];
  readonly edges: readonly PlacedEdge[];
  readonly width: number;
  readonly height: number;
  readonly left: number;
}

export const NODE_WIDTH = 188;
export const NODE_HEIGHT = 60;
const GAP_X = 64;
const GAP_Y = 12;
const MARGIN = 8;
/** Of a stage: forty-one together, with the one artifact. */
const MAX_IN_STAGE = 10;

/**
 * Puts each stage that has nodes into a column, in the order given, and draws a line from each node to the artifact, or from it. A source
 * leads to the builds where there are any.
 */
export function layoutProvenance<Node extends ProvenanceNode>(all: readonly Node[]): Layout<Node> {
  const some = (stage: Stage): readonly Node[] => all.filter((node) => node.stage === stage).slice(0, MAX_IN_STAGE);
  const columns = COLUMNS.map((stages) => stages.flatMap(some)).filter((column) => column.length > 0);
  const rows = Math.max(1, ...columns.map((column) => column.length));
  const inner = rows * (NODE_HEIGHT + GAP_Y) - GAP_Y;
  const placed = columns.map((column, at) => {
    const free = inner - (column.length * (NODE_HEIGHT + GAP_Y) - GAP_Y);
    const x = MARGIN + at * (NODE_WIDTH + GAP_X);
    return column.map((node, row) => ({ node, x, y: MARGIN + free / 2 + row * (NODE_HEIGHT + GAP_Y) }));
  });
  const nodes = placed.flat();
  return {
    nodes,
    edges: placed.slice(1).flatMap((column, at) => linesBetween(placed[at] ?? [], column, nodes)),
    width: 2 * MARGIN + columns.length * (NODE_WIDTH + GAP_X) - GAP_X,
    height: 2 * MARGIN + inner,
    left: all.length - nodes.length,
  };
}

/** Between neighbours where one of them is the artifact or both come before it; what comes behind it is joined to the artifact. */
function linesBetween<Node extends ProvenanceNode>(
  before: readonly PlacedNode<Node>[],
  column: readonly PlacedNode<Node>[],
  all: readonly PlacedNode<Node>[],
): readonly PlacedEdge[] {
  const isBehind = column.some(({ node }) => node.stage === "related" || node.stage === "promotion");
  const starts = isBehind ? all.filter(({ node }) => node.stage === "artifact") : before;
  return starts.flatMap((start) =>
    column.map((end) => ({
      fromX: start.x + NODE_WIDTH,
      fromY: start.y + NODE_HEIGHT / 2,
      toX: end.x,
      toY: end.y + NODE_HEIGHT / 2,
    })),
  );
}
