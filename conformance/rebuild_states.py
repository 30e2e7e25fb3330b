#!/usr/bin/env python3
"""Rebuilds the states of artifacts from a layout that `securectl export` wrote: an independent check of what `securectl verify-layout` says.

It shares no code with the registry: Python's standard library, and `openssl dgst -verify` for every signature. What it checks is described in
src/lifecycle/offline-proof.md.

usage: rebuild_states.py LAYOUT KEY.pem [--max-age SECONDS] [--now EPOCH_SECONDS]

LAYOUT is a folder or a tar archive, KEY.pem a public key of the registry that is trusted. Prints one JSON document; exits with 0 when the
layout proves what it says, else with 1 and every reason.
"""

import argparse
import base64
import calendar
import hashlib
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import time

BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
IN_TOTO = "application/vnd.in-toto+json"
UNSIGNED = "application/vnd.ai-model-registry.lifecycle.v1+json"
OWN = "https://ai-model-registry.dev/attestations/"
LIFECYCLE, SNAPSHOT, KEY, APPROVAL = (OWN + name + "/v1" for name in ("lifecycle", "trust-snapshot", "signing-key", "approval"))
POLICY, TRUST_ROOT, AUTHORITY = (OWN + name + "/v1" for name in ("policy", "trust-root", "authority-revoked"))
SUMMARY = "https://slsa.dev/verification_summary/v1"
SKEW = 300


class Refused(Exception):
    pass


class Folder:
    def __init__(self, place):
        self.place = place

    def read(self, path):
        with open(os.path.join(self.place, path), "rb") as file:
            return file.read()

    def paths(self):
        for folder, _, names in os.walk(self.place):
            for name in names:
                yield os.path.relpath(os.path.join(folder, name), self.place)


class Archive:
    def __init__(self, place):
        self.tar = tarfile.open(place, "r:")
        members = self.tar.getmembers()
        if any(not (member.isfile() or member.isdir()) for member in members):
            raise Refused("archive-unsafe: it has something that is neither file nor folder")
        self.members = {member.name: member for member in members if member.isfile()}
        if len(self.members) != sum(member.isfile() for member in members):
            raise Refused("archive-unsafe: a name is there twice")

    def read(self, path):
        if path not in self.members:
            raise FileNotFoundError(path)
        return self.tar.extractfile(self.members[path]).read()

    def paths(self):
        return iter(self.members)


def digest_of(data, algorithm="sha256"):
    return f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"


def path_of(digest):
    return "blobs/" + digest.replace(":", "/")


def epoch(text):
    return calendar.timegm(time.strptime(text, "%Y-%m-%dT%H:%M:%SZ"))


class Key:
    def __init__(self, pem):
        lines = [line for line in pem.strip().splitlines() if not line.startswith("-----")]
        self.pem = pem
        self.hash = hashlib.sha256(base64.b64decode("".join(lines)))
        self.id = base64.b64encode(self.hash.digest()).decode()

    def signed(self, statement):
        if statement.signature is None:
            return False
        payload = statement.payload
        encoded = b"DSSEv1 %d %s %d %s" % (len(IN_TOTO), IN_TOTO.encode(), len(payload), payload)
        with tempfile.TemporaryDirectory() as folder:
            files = {"key": self.pem.encode(), "signature": statement.signature, "encoded": encoded}
            for name, data in files.items():
                with open(os.path.join(folder, name), "wb") as file:
                    file.write(data)
            command = ["openssl", "dgst", "-sha256", "-verify", "key", "-signature", "signature", "encoded"]
            return subprocess.run(command, cwd=folder, capture_output=True, check=False).returncode == 0


class Statement:
    """What is in a layer of a manifest; nothing of it is believed yet."""

    def __init__(self, manifest, subject, data, is_bundle):
        self.manifest, self.subject, self.bundle = manifest, subject, digest_of(data) if is_bundle else None
        self.signature = self.hint = None
        self.payload = data
        if is_bundle:
            document = json.loads(data)
            envelope = document["dsseEnvelope"]
            (signature,) = envelope["signatures"]
            if envelope["payloadType"] != IN_TOTO:
                raise ValueError("another type of payload")
            self.payload = base64.b64decode(envelope["payload"], validate=True)
            self.signature = base64.b64decode(signature["sig"], validate=True)
            self.hint = document["verificationMaterial"]["publicKey"]["hint"]
        said = json.loads(self.payload)
        self.digest = digest_of(self.payload)
        self.type = said["predicateType"]
        self.about = {f"{name}:{value}" for name, value in said["subject"][0]["digest"].items()}
        self.said = said["predicate"]


class Proof:
    def __init__(self, files, trusted, now, max_age):
        self.files, self.trusted, self.now, self.max_age = files, trusted, now, max_age
        self.faults = []
        self.statements = []
        self.manifests = {}
        self.read_layout()

    def refuse(self, code, about):
        self.faults.append(f"{code}: {about}")

    def blob(self, digest, size=None):
        try:
            data = self.files.read(path_of(digest))
        except FileNotFoundError:
            raise Refused(f"blob-missing: {digest}") from None
        if digest_of(data, digest.split(":")[0]) != digest or size not in (None, len(data)):
            raise Refused(f"blob-corrupt: {digest}")
        return data

    def read_layout(self):
        try:
            marker = json.loads(self.files.read("oci-layout"))
            index = json.loads(self.files.read("index.json"))
            entries = index["manifests"]
        except (OSError, ValueError, KeyError, TypeError):
            raise Refused("layout-invalid: no marker, or no index") from None
        if marker.get("imageLayoutVersion") != "1.0.0":
            raise Refused("layout-invalid: another version")
        for entry in entries:
            try:
                data = self.blob(entry["digest"], entry["size"])
                manifest = json.loads(data)
                self.manifests[digest_of(data)] = manifest
                self.read_statements(entry["digest"], manifest)
            except Refused as refused:
                self.faults.append(str(refused))

    def read_statements(self, digest, manifest):
        subject = (manifest.get("subject") or {}).get("digest")
        for layer in manifest.get("layers") or []:
            is_bundle = layer["mediaType"] == BUNDLE
            if not is_bundle and not (layer["mediaType"] == IN_TOTO and manifest.get("artifactType") == UNSIGNED):
                continue
            data = self.blob(layer["digest"], layer["size"])
            try:
                self.statements.append(Statement(digest, subject, data, is_bundle))
            except (ValueError, KeyError, TypeError, IndexError):
                continue  # evidence of others may have any form

    def of_type(self, kind):
        return [statement for statement in self.statements if statement.type == kind]

    def run(self):
        self.check_bytes()
        snapshot = self.find_snapshots()
        states = {}
        if snapshot is not None:
            states = self.rebuild(snapshot)
            self.check_content(snapshot)
        return states

    def check_bytes(self):
        for path in self.files.paths():
            parts = path.split(os.sep)
            if parts[0] == "blobs" and len(parts) == 3:
                try:
                    self.blob(f"{parts[1]}:{parts[2]}")
                except Refused as refused:
                    self.faults.append(str(refused))

    def find_snapshots(self):
        """What the snapshots say together: each artifact has one, and another registry's count for nothing."""
        found = self.of_type(SNAPSHOT)
        if not found:
            self.refuse("snapshot-missing", "the layout")
            return None
        by_artifact = {}
        for statement in found:
            about = (statement.said["registry"], statement.said["repository"], min(statement.about))
            if by_artifact.setdefault(about, statement.digest) != statement.digest:
                self.refuse("snapshot-ambiguous", statement.manifest)
                return None
        read = [(statement, *self.read_snapshot(statement)) for statement in found]
        holding = [(statement, keys) for statement, code, keys in read if code is None]
        names = {statement.said["registry"] for statement, _ in holding} | {key["registry"] for _, keys in holding for key in keys}
        for statement, code, _ in read:
            is_foreign = code in ("key-untrusted", "key-chain-broken") and names and statement.said["registry"] not in names
            if code is not None and not is_foreign:
                self.refuse(code, statement.manifest)
                holding = []
        if not holding:
            return None
        first, self.keys = holding[0]
        common = ("registry", "repository", "keys", "registryStatements", "revokedAuthorities")
        subjects = {}
        for statement, _ in holding:
            said = statement.said
            is_one = all(said.get(name) == first.said.get(name) for name in common)
            if not (is_one and all(subjects.setdefault(name, head) == head for name, head in said["subjects"].items())):
                self.refuse("snapshot-ambiguous", statement.manifest)
                return None
        return {**first.said, "subjects": subjects}

    def read_snapshot(self, statement):
        """What is wrong with a snapshot, if anything: the last key of a chain that leads from a trusted key signed it, and it is of now."""
        said = statement.said
        keys = self.key_chain(said["keys"]["statement"])
        if keys is None or len(keys) != said["keys"]["seq"]:
            return "key-chain-broken", []
        last = keys[-1]["key"]
        is_trusted = False
        for each in keys:
            is_trusted = each["key"].id in self.trusted or (is_trusted and each["vouched"])
        taken, expires = epoch(said["takenAt"]), epoch(said["expires"])
        for code, is_wrong in (
            ("forged", statement.hint != last.id or not last.signed(statement)),
            ("key-untrusted", not is_trusted),
            ("key-out-of-range", taken < keys[-1]["from"]),
            ("snapshot-from-future", taken > self.now + SKEW),
            ("snapshot-expired", self.now > expires),
            ("snapshot-too-old", self.max_age is not None and self.now - taken > self.max_age),
        ):
            if is_wrong:
                return code, []
        return None, keys

    def key_chain(self, digest):
        """Every key from the first to the one that this statement names, each named by a statement of the one before."""
        by_digest = {}
        for statement in self.of_type(KEY):
            by_digest.setdefault(statement.digest, []).append(statement)
        links = []
        while digest is not None:
            if digest not in by_digest or len(links) > 1000:
                return None
            links.insert(0, by_digest[digest])
            previous = links[0][0].said["prev"]
            digest = previous and "sha256:" + previous["sha256"]
        chain = []
        for place, copies in enumerate(links, 1):
            said = copies[0].said
            key, before = Key(said["key"]["pem"]), chain[-1] if chain else None
            signer = key if said["signedBy"] == key.id else before and before["key"]
            start = epoch(said["effectiveAt"])
            is_right = (
                said["seq"] == place
                and said["key"]["id"] == key.id
                and copies[0].about == {"sha256:" + key.hash.hexdigest()}
                and signer is not None
                and signer.id == said["signedBy"]
                and any(signer.signed(copy) for copy in copies)
                and (before is None or start >= before["from"])
            )
            if not is_right:
                return None
            if before is not None:
                before["until"] = start
            # The first key vouches for all that was there before it.
            chain.append(
                {
                    "key": key,
                    "from": start if before else 0,
                    "until": float("inf"),
                    "vouched": signer is not key,
                    "statement": copies[0].digest,
                    "registry": said["registry"],
                }
            )
        return chain

    def signed_at(self, statement, moment):
        """None when no key of the registry signed it, else whether that key signed at the moment."""
        named = [each for each in self.keys if each["key"].id == statement.hint]
        if not named or not named[0]["key"].signed(statement):
            return None
        return any(each["from"] <= moment <= each["until"] for each in named)

    def rebuild(self, said):
        links = {}
        for statement in self.of_type(LIFECYCLE):
            links.setdefault(statement.digest, []).append(statement)
        self.proven = {each["statement"] for each in self.keys}
        self.registries = {said["registry"]} | {each["registry"] for each in self.keys}
        self.gaps = {}
        states = {}
        for name, head in said["subjects"].items():
            chain = self.walk(name, head, links)
            self.check_summaries(name, head, chain)
            states[name] = self.state_of(name, head, chain)
        self.check_authorities(said)
        self.bundles = {each["bundle"] for head in said["subjects"].values() for each in head["summaries"]}
        for statement in self.statements:
            self.check_stranger(statement, said, states)
        return states

    def walk(self, name, head, links):
        """The chain from the statement that the snapshot names back to the first one, and turned round."""
        repository, artifact = name.split("@")
        chain, digest = [], head["statement"]
        for sequence in range(head["seq"], 0, -1):
            copies = links.get(digest, [])
            self.gaps[name] = sequence + 1
            if not copies:
                is_known = any(artifact in s.about and s.said.get("repository") == repository for s in self.of_type(LIFECYCLE))
                self.refuse("statement-missing" if is_known else "chain-missing", f"{name} {sequence}")
                break
            said = copies[0].said
            is_right = (
                artifact in copies[0].about
                and said["repository"] == repository
                and said["seq"] == sequence
                and (said["prev"] is None) == (sequence == 1)
                and (sequence > 1 or said["state"] == "acquired")
                and (said["state"] == "revoked") == ("permanent" in said)
            )
            if not is_right:
                self.refuse("chain-broken", f"{name} {sequence}")
                break
            self.gaps[name] = sequence
            self.check_link(name, head, copies, chain)
            self.proven.add(digest)
            self.registries.add(said["registry"])
            chain.append(said)
            digest = said["prev"] and "sha256:" + said["prev"]["sha256"]
        return chain[::-1]

    def check_link(self, name, head, copies, chain):
        said = copies[0].said
        for copy in copies:
            if copy.subject not in copy.about:
                self.refuse("wrong-subject", copy.manifest)
        signed = [copy for copy in copies if copy.bundle]
        # What was only pushed is signed with the link that follows; until then the snapshot vouches for it.
        if not signed and said["seq"] == head["seq"] and said["state"] == "acquired":
            return
        is_acquired = said["state"] == "acquired" and chain
        moment = epoch((chain[-1] if is_acquired else said)["effectiveAt"])
        found = [self.signed_at(copy, moment) for copy in signed]
        if not found or None in found:
            self.refuse("forged", f"{name} {said['seq']}")
        elif True not in found:
            self.refuse("key-out-of-range", f"{name} {said['seq']}")

    def check_summaries(self, name, head, chain):
        repository, artifact = name.split("@")
        by_sequence = {link["seq"]: link for link in chain}
        for each in head["summaries"]:
            about = f"{name} {each['seq']}"
            copies = [statement for statement in self.statements if statement.bundle == each["bundle"]]
            link = by_sequence.get(each["seq"])
            if not copies:
                self.refuse("summary-missing", about)
                continue
            if link is None:
                continue
            said = copies[0].said
            host = link["registry"].removeprefix("https://").removeprefix("http://")
            is_right = (
                copies[0].type == SUMMARY
                and artifact in copies[0].about
                and said["resourceUri"] == f"oci://{host}/{repository}@{artifact}"
                and said["timeVerified"] == link["effectiveAt"]
                and said["verificationResult"] == {"trusted": "PASSED", "revoked": "FAILED"}.get(link["state"])
            )
            moment = epoch(link["effectiveAt"])
            is_lifted = any(later["state"] == "trusted" and later["seq"] > each["seq"] for later in chain)
            stands = link["state"] == "revoked" and (link["permanent"] or not is_lifted)
            if not is_right:
                self.refuse("chain-broken", about)
            elif (signed := self.signed_at(copies[0], moment)) is not True:
                self.refuse("forged" if signed is None else "key-out-of-range", about)
            elif any(copy.subject and copy.subject not in copy.about for copy in copies):
                self.refuse("wrong-subject", about)
            elif stands and not any(copy.subject for copy in copies):
                self.refuse("summary-hidden", about)

    def state_of(self, name, head, chain):
        state = {"state": chain[-1]["state"] if chain else None, "seq": head["seq"], "statement": head["statement"]}
        barred = [place for place, link in enumerate(chain) if link.get("permanent")]
        state["permanent"] = bool(barred)
        if chain and (state["state"], state["permanent"]) != (head["state"], head["permanent"]):
            self.refuse("state-mismatch", name)
        if barred and any(link["state"] == "trusted" for link in chain[barred[0] :]):
            self.refuse("trusted-after-permanent-revocation", name)
            state["state"] = "revoked"
        return state

    def check_authorities(self, snapshot):
        """The statement of every publisher who is believed no more, as the snapshot names them."""
        last = (snapshot.get("registryStatements") or {"seq": 0})["seq"]
        for digest in snapshot.get("revokedAuthorities") or []:
            self.proven.add(digest)
            copies = [statement for statement in self.of_type(AUTHORITY) if statement.digest == digest]
            if not copies:
                self.refuse("authority-missing", digest)
                continue
            said = copies[0].said
            if said["state"] != "revoked" or said["seq"] > last:
                self.refuse("chain-broken", digest)
                continue
            found = [self.signed_at(copy, epoch(said["effectiveAt"])) for copy in copies]
            if None in found:
                self.refuse("forged", digest)
            elif True not in found:
                self.refuse("key-out-of-range", digest)

    def check_stranger(self, statement, snapshot, states):
        """What is the registry's, or claims to be, and belongs to no chain."""
        if statement.type not in (LIFECYCLE, KEY, SUMMARY, APPROVAL, POLICY, TRUST_ROOT, AUTHORITY):
            return
        if statement.digest in self.proven or statement.bundle in self.bundles:
            return
        claimed = statement.said["verifier"]["id"] if statement.type == SUMMARY else statement.said.get("registry")
        if self.signed_at(statement, 0) is None:
            if claimed in self.registries:
                self.refuse("forged", statement.manifest)
            return
        if statement.type == APPROVAL:
            if statement.subject not in statement.about:
                self.refuse("wrong-subject", statement.manifest)
            return
        code = "statement-unexpected"
        if statement.type == LIFECYCLE:
            artifact = next(digest for digest in statement.about if digest.startswith("sha256:"))
            name = f"{statement.said['repository']}@{artifact}"
            head = snapshot["subjects"].get(name)
            if statement.said.get("permanent"):
                for each, state in states.items():
                    if each == name or (statement.said["scope"] == "digest" and each.endswith(artifact)):
                        state.update(state="revoked", permanent=True)
            if head and statement.said["seq"] <= head["seq"]:
                code = "chain-forked" if statement.said["seq"] >= self.gaps[name] else None
        if code:
            self.refuse(code, statement.manifest)

    def check_content(self, snapshot):
        """All that the snapshot tells of is there with its parts, but for what is revoked or deleted."""
        subjects = {name.split("@")[1]: head["state"] for name, head in snapshot["subjects"].items()}
        found = set()
        for digest, manifest in self.manifests.items():
            if digest in subjects:
                self.check_parts(digest, manifest, subjects, found)
        for digest, state in subjects.items():
            if digest not in found and state not in ("revoked", "deleted"):
                self.refuse("blob-missing", digest)

    def check_parts(self, digest, manifest, subjects, found):
        if digest in found:
            return
        found.add(digest)
        config = [manifest["config"]] if manifest.get("config") else []
        for part in config + (manifest.get("layers") or []) + (manifest.get("blobs") or []):
            try:
                self.blob(part["digest"], part["size"])
            except Refused as refused:
                self.faults.append(str(refused))
        for child in manifest.get("manifests") or []:
            try:
                data = self.blob(child["digest"], child["size"])
                self.check_parts(digest_of(data), json.loads(data), subjects, found)
            except Refused as refused:
                if subjects.get(child["digest"]) not in ("revoked", "deleted"):
                    self.faults.append(str(refused))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("layout")
    parser.add_argument("key")
    parser.add_argument("--max-age", type=int)
    parser.add_argument("--now", type=int, default=int(time.time()))
    asked = parser.parse_args()
    with open(asked.key, encoding="ascii") as file:
        trusted = {Key(file.read()).id}
    states, faults = {}, []
    try:
        files = Folder(asked.layout) if os.path.isdir(asked.layout) else Archive(asked.layout)
        proof = Proof(files, trusted, asked.now, asked.max_age)
        states = proof.run()
        faults = sorted(set(proof.faults))
    except (Refused, tarfile.TarError) as refused:
        faults = [str(refused)]
    if faults:
        # A permanent revocation holds by being there, whatever else is wrong.
        states = {name: state for name, state in states.items() if state["permanent"] and state["state"] == "revoked"}
    print(json.dumps({"accepted": not faults, "faults": faults, "states": states}, sort_keys=True, indent=1))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
