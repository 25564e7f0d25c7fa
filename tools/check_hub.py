"""Compares our cache of the Hugging Face Hub with that of huggingface_hub, in both directions, against a server on this machine.

    python tools/check_hub.py target/release/albert

needs huggingface_hub, transformers and torch (made with huggingface_hub 2.4.0, transformers 5.23). No network is used.
"""

import argparse
import hashlib
import http.server
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import threading

ROOT = pathlib.Path(__file__).resolve().parent.parent
ID, COMMIT = "albert/tiny", "0123456789abcdef0123456789abcdef01234567"
LARGE = (".safetensors", ".bin", ".model", ".h5")

# What Python does with a cache; each prints JSON.
SNAPSHOT = """
import json, huggingface_hub
print(json.dumps(huggingface_hub.snapshot_download("{id}", allow_patterns={patterns})))
"""
ONE_BY_ONE = """
import json, huggingface_hub
names = {names}
paths = [huggingface_hub.hf_hub_download("{id}", name) for name in names]
cached = [huggingface_hub.try_to_load_from_cache("{id}", name) for name in names]
info = huggingface_hub.scan_cache_dir()
(repo,) = info.repos
(revision,) = repo.revisions
print(json.dumps({{"same": paths == cached, "warnings": [str(w) for w in info.warnings], "refs": sorted(revision.refs),
                  "commit": revision.commit_hash, "files": sorted(f.file_name for f in revision.files)}}))
"""
MODEL = """
import json, torch, transformers
transformers.logging.set_verbosity_error()
tokenizer = transformers.AutoTokenizer.from_pretrained("{id}")
model = transformers.AlbertForMaskedLM.from_pretrained("{id}").eval()
batch = tokenizer("the capital of france is paris", return_tensors="pt")
with torch.no_grad():
    print(json.dumps(model(**batch).logits.double().sum().item()))
"""


class Hub:
    """A hub with one model: list, tree and files; large files on another port."""

    def __init__(self, folder):
        self.files = {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}
        self.seen = []
        self.servers = [self.listen(storage) for storage in (False, True)]
        self.endpoint, self.storage = [f"http://127.0.0.1:{s.server_port}" for s in self.servers]

    def etag(self, name):
        data = self.files[name]
        if name.endswith(LARGE):
            return hashlib.sha256(data).hexdigest()
        return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()

    def bodies(self):
        """Files whose bytes were sent, since the last call."""
        found = [target for method, target, status in self.seen if method == "GET" and status in (200, 206) and "/api/" not in target]
        self.seen.clear()
        return found

    def listen(hub, storage):
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def answer(self, status, headers=(), body=b""):
                hub.seen.append((self.command, self.path, status))
                self.send_response(status)
                for name, value in headers:
                    self.send_header(name, value)
                if "Content-Length" not in dict(headers):
                    self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            def json(self, value):
                self.answer(200, [("Content-Type", "application/json"), ("X-Repo-Commit", COMMIT)], json.dumps(value).encode())

            def bytes(self, data, headers):
                start = int(self.headers.get("Range", "bytes=0-")[6:].split("-")[0])
                if "Range" in self.headers:
                    headers = [*headers, ("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")]
                self.answer(206 if "Range" in self.headers else 200, headers, data[start:])

            def do_GET(self):
                path = self.path.split("?")[0]
                if storage:
                    name = next(n for n in hub.files if hub.etag(n) == path[1:])
                    assert "Authorization" not in self.headers, "the token left the hub"
                    return self.bytes(hub.files[name], [("ETag", '"other"')])
                if path in (f"/api/models/{ID}", f"/api/models/{ID}/revision/main", f"/api/models/{ID}/revision/{COMMIT}"):
                    return self.json({"id": ID, "modelId": ID, "sha": COMMIT, "private": False, "tags": [], "downloads": 0, "likes": 0,
                                      "siblings": [{"rfilename": n} for n in hub.files]})
                if path == f"/api/models/{ID}/tree/{COMMIT}":
                    return self.json([hub.entry(n) for n in hub.files])
                if path.startswith(f"/api/models/{ID}/tree/"):
                    return self.answer(404, [("X-Error-Code", "EntryNotFound"), ("X-Repo-Commit", COMMIT)])
                for revision in ("main", COMMIT):
                    prefix = f"/{ID}/resolve/{revision}/"
                    if path.startswith(prefix):
                        return self.file(path[len(prefix):])
                self.answer(404, [("X-Error-Code", "RepoNotFound")])

            def file(self, name):
                commit = ("X-Repo-Commit", COMMIT)
                if name not in hub.files:
                    return self.answer(404, [("X-Error-Code", "EntryNotFound"), commit])
                etag = f'"{hub.etag(name)}"'
                if name.endswith(LARGE):
                    size = str(len(hub.files[name]))
                    return self.answer(302, [commit, ("X-Linked-Etag", etag), ("X-Linked-Size", size),
                                             ("Location", f"{hub.storage}/{hub.etag(name)}?X-Signature=secret")])
                self.bytes(hub.files[name], [commit, ("ETag", etag)])

            do_HEAD = do_GET

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return server

    def entry(self, name):
        size = len(self.files[name])
        entry = {"type": "file", "path": name, "size": size, "oid": hashlib.sha1(b"x" + name.encode()).hexdigest()}
        if name.endswith(LARGE):
            entry["lfs"] = {"oid": self.etag(name), "size": size, "pointerSize": 130}
        else:
            entry["oid"] = self.etag(name)
        return entry


def layout(home):
    """What a cache holds of the model, but for notes of one side alone."""
    folder = home / "hub" / "models--albert--tiny"
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_dir() or name.startswith((".no_exist", "trees")):
            continue
        found[name] = f"-> {os.readlink(path)}" if path.is_symlink() else hashlib.sha256(path.read_bytes()).hexdigest()
    return found


class Check:
    def __init__(self, albert, hub, folder):
        self.albert, self.hub, self.folder, self.failed = albert, hub, folder, 0

    def environment(self, home, offline):
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "HUGGING", "TRANSFORMERS")) and "proxy" not in k.lower()}
        return kept | {"HF_HOME": str(home), "HF_ENDPOINT": self.hub.endpoint, "HF_HUB_OFFLINE": str(int(offline)), "HF_HUB_DISABLE_XET": "1",
                       "HF_TOKEN": "hf_of_this_check", "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_UPDATE_CHECK": "1"}

    def run(self, command, home, offline=False):
        done = subprocess.run(command, env=self.environment(home, offline), cwd=self.folder, capture_output=True, text=True)
        if done.returncode != 0:
            raise SystemExit(f"{command}\n{done.stdout}{done.stderr}")
        return done.stdout

    def ours(self, arguments, home, **how):
        return self.run([self.albert, *arguments], home, **how)

    def python(self, script, home, offline=False, **values):
        return json.loads(self.run([sys.executable, "-c", script.format(id=ID, **values)], home, offline).splitlines()[-1])

    def equal(self, what, found, expected):
        good = found == expected
        self.failed += not good
        print(f"{'ok  ' if good else 'FAIL'}  {what}" + ("" if good else f"\n  expected {expected}\n  found    {found}"))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("albert", type=pathlib.Path, help="the program")
    albert = str(parser.parse_args().albert.resolve())
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        check = Check(albert, Hub(ROOT / "fixtures" / "demo"), folder)
        hub, (a, b, c, d) = check.hub, [folder / name for name in "abcd"]

        # Ours downloads, Python uses.
        ours = json.loads(check.ours(["pull", ID, "--json"], a))
        names = sorted(ours["files"])
        check.equal("ours: each file once", len(hub.bodies()), len(names))
        found = check.python(ONE_BY_ONE, a, offline=True, names=names)
        check.equal("Python offline: the files of our cache", found,
                    {"same": True, "warnings": [], "refs": ["main"], "commit": COMMIT, "files": names})
        check.equal("Python offline: the snapshot", check.python(SNAPSHOT, a, True, patterns=names), ours["folder"])
        theirs = check.python(MODEL, a, offline=True)
        check.equal("Python online: brings nothing again", (check.python(SNAPSHOT, a, patterns=names), hub.bodies()), (ours["folder"], []))

        # Python downloads, ours uses.
        snapshot = check.python(SNAPSHOT, b, patterns=names)
        check.equal("Python: each file once", len(hub.bodies()), len(names))
        check.equal("the layouts are equal", layout(b), layout(a))
        check.equal("ours offline: the same folder", check.ours(["pull", ID], b, offline=True).strip(), snapshot)
        text = ["fill-mask", "the capital of [MASK] is paris", "--json", "--model"]
        direct = check.ours([*text, str(ROOT / "fixtures" / "demo")], b, offline=True)
        check.equal("ours offline: the model answers", check.ours([*text, ID], b, offline=True), direct)
        hub.bodies()
        check.equal("ours online: brings nothing again", (check.ours(["pull", ID], b).strip(), hub.bodies()), (snapshot, []))

        # Half by Python, half by us.
        check.equal("transformers downloads a model", check.python(MODEL, c), theirs)
        hub.bodies()
        check.ours(["pull", ID], c)
        rest = hub.bodies()
        check.equal("ours adds what transformers did not want", len(rest) < len(names) and not any("safetensors" in r for r in rest), True)
        check.equal("the model is still transformers'", check.python(MODEL, c, offline=True), theirs)

        # Both at once.
        runs = [threading.Thread(target=check.ours, args=(["pull", ID], d)) for _ in range(2)]
        runs += [threading.Thread(target=check.python, args=(SNAPSHOT, d), kwargs={"patterns": names}) for _ in range(2)]
        for run in runs:
            run.start()
        for run in runs:
            run.join()
        check.equal("two of each at once: the same layout", layout(d), layout(a))
        print("all equal" if check.failed == 0 else f"{check.failed} differ")
        return check.failed != 0


if __name__ == "__main__":
    sys.exit(main())
