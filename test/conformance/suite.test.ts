import { expect, test } from "vitest";
import { ALL_SWITCHES, judge, readReport } from "../../conformance/suite.ts";

const PASSED = `<testsuites time="1" tests="3">
  <testsuite name="OCI Conformance Test" tests="3" failures="0" errors="0" time="1">
    <testcase name="OCI Conformance Test/ping" classname="" time="0.1" status="passed">
      <system-err>request &lt;one&gt;</system-err>
    </testcase>
    <testcase name="OCI Conformance Test/image/push/manifest-by-tag" status="passed"></testcase>
    <testcase name="OCI Conformance Test/image/push/manifest-by-tag" status="passed"/>
  </testsuite>
</testsuites>`;
const RESULTS = `config: {version: dev, apis: {pull: true, blobs: {delete: true}}, data: {sparse: true}}
apis: {Ping: Pass}
data: {Image: Pass}`;
const EXPECTED = { version: "dev", least: 3, checks: ["ping", "image/push/manifest-by-tag"] } as const;

test("judge finds nothing wrong with a run in which every check passed and every switch was on", () => {
  expect(judge(readReport(PASSED), RESULTS, EXPECTED)).toEqual([]);
});

test("judge names a check that failed, with the suite's reason", () => {
  const failed = PASSED.replace('tests="3">', 'tests="3" failures="1">').replace(
    'manifest-by-tag" status="passed"></testcase>',
    'manifest-by-tag" status="failure"><system-out>got &#34;404&#34;</system-out></testcase>',
  );
  expect(judge(readReport(failed), RESULTS, EXPECTED)).toEqual(["1 failed", 'failure: image/push/manifest-by-tag\n      got "404"']);
});

test.each([
  ["skipped", 'skipped="1"', "1 skipped"],
  ["disabled", 'disabled="2"', "2 disabled"],
  ["broken", 'errors="1"', "1 failed"],
])("judge refuses a run in which a check was %s", (_, attribute, problem) => {
  expect(judge(readReport(PASSED.replace('tests="3">', `tests="3" ${attribute}>`)), RESULTS, EXPECTED)).toContain(problem);
});

test("judge refuses a run of too few checks", () => {
  expect(judge(readReport(PASSED), RESULTS, { ...EXPECTED, least: 4 })).toEqual(["only 3 checks ran, at least 4 must"]);
});

test("judge refuses a run that left out a check, or ran one that nobody listed", () => {
  const problems = judge(readReport(PASSED), RESULTS, { ...EXPECTED, checks: ["ping", "image/pull/blob-get"] });
  expect(problems).toEqual(["did not run: image/pull/blob-get", "ran but is not in conformance/checks.txt: image/push/manifest-by-tag"]);
});

test("judge refuses a run with a switch off, an API that did not pass or another version", () => {
  const results = RESULTS.replace("sparse: true", "sparse: false").replace("Ping: Pass", "Ping: Disabled").replace("dev", "'1.1'");
  const problems = judge(readReport(PASSED), results, EXPECTED);
  expect(problems).toEqual(["the suite ran version 1.1 instead of dev", "switched off: data.sparse", "Disabled: Ping"]);
});

test("readReport refuses a file that the suite did not finish", () => {
  expect(() => readReport("<testsuite>")).toThrow("did not finish");
});

test("every switch of the suite has a name that the suite reads", () => {
  expect(Object.keys(ALL_SWITCHES)).toContain("OCI_DATA_SPARSE");
  expect(Object.keys(ALL_SWITCHES)).toContain("OCI_API_BLOBS_UPLOAD_CANCEL");
});
