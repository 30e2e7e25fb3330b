import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { METRICS } from "../../src/metrics/definitions.ts";
import { exposition } from "../../src/metrics/exposition.ts";
import { MetricSet, lasting, sumOf } from "../../src/metrics/metric-set.ts";

const SCAN = "registry_scan_duration_seconds";

const lines = (text: string): string[] => text.split("\n").toSorted();

describe("metrics", () => {
  test("are shown as Prometheus reads them", () => {
    const metrics = new MetricSet();
    metrics.add("oci_uploads_total", { result: "finished" }, 2);
    metrics.set("registry_artifacts", { state: 'a "b\\\n' }, 7);
    metrics.observe(SCAN, { scanner: "header" }, 0.3);
    metrics.observe(SCAN, { scanner: "header" }, 100);
    const text = exposition(metrics.snapshot());
    expect(text).toContain('# TYPE oci_uploads_total counter\noci_uploads_total{result="finished"} 2\n');
    expect(text).toContain('registry_artifacts{state="a \\"b\\\\\\n"} 7\n');
    expect(text).toContain(`${SCAN}_bucket{scanner="header",le="0.25"} 0\n${SCAN}_bucket{scanner="header",le="0.5"} 1\n`);
    expect(text).toContain(
      `${SCAN}_bucket{scanner="header",le="+Inf"} 2\n${SCAN}_sum{scanner="header"} 100.3\n${SCAN}_count{scanner="header"} 2\n`,
    );
  });

  test("have a snapshot that later counts leave alone", () => {
    const metrics = new MetricSet();
    metrics.observe(SCAN, { scanner: "header" }, 1);
    const before = metrics.snapshot();
    metrics.observe(SCAN, { scanner: "header" }, 1);
    expect(before[SCAN]).toMatchObject([{ count: 1, value: 1 }]);
  });

  test("of several processes add up to what one would have counted", () => {
    const counted = fc.record({ process: fc.nat(3), status: fc.constantFrom("200", "404"), seconds: fc.nat(20) });
    fc.assert(
      fc.property(fc.array(counted), (all) => {
        const [one, several] = [new MetricSet(), [0, 1, 2, 3].map(() => new MetricSet())];
        for (const { process, status, seconds } of all) {
          const labels = { http_request_method: "GET", http_route: "/livez", http_response_status_code: status };
          for (const metrics of [one, several[process]]) metrics?.observe("http_server_request_duration_seconds", labels, seconds);
        }
        expect(lines(exposition(sumOf(several.map((metrics) => metrics.snapshot()))))).toEqual(lines(exposition(one.snapshot())));
      }),
    );
  });

  test("take no more memory for labels than a bound, whatever they are", () => {
    const metrics = new MetricSet();
    for (let n = 0; n < 5000; n += 1) metrics.add("registry_audit_events_total", { type: `t${n}` });
    expect(metrics.snapshot()["registry_audit_events_total"]).toHaveLength(2000);
  });

  test("of a process that has ended go on counting, but for those that say how it is now", () => {
    const metrics = new MetricSet();
    metrics.add("oci_upload_bytes_total", {}, 5);
    metrics.add("http_server_active_requests");
    expect(Object.keys(lasting(metrics.snapshot()))).toEqual(["oci_upload_bytes_total"]);
  });

  test.each(Object.entries(METRICS))("%s has the form that Prometheus advises", (name, { kind, help, labels }) => {
    expect(name).toMatch(/^[a-z]+(?:_[a-z0-9]+)+$/);
    expect(name.endsWith("_total")).toBe(kind === "counter");
    expect(help).toMatch(/^[A-Z][^\n]*\.$/);
    for (const label of labels) expect(label).toMatch(/^[a-z_]+$/);
  });
});
