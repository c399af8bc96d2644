"""Records what AWS CLI v2 sends, for the test `recorded` to send again.

    python3 tests/recorded/record.py ENDPOINT OUTPUT AWS [WORD…]

ENDPOINT is that of a fresh `gureum up --no-instances`, AWS the command of the CLI; without one it is that
which Python imports as `awscli`, all commands in one process. Each command of `commands.txt` goes through a proxy that writes down the
request and the shape of the answer. Ids that commands made are written by the names that the list
gives them, so that they stand for others when the requests are sent again; signatures are not kept.
"""

import base64
import contextlib
import http.client
import http.server
import io
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys
import threading
import urllib.parse
import xml.etree.ElementTree as ElementTree

HERE = pathlib.Path(__file__).parent
KEPT = {
    "accept",
    "authorization",
    "content-encoding",
    "content-md5",
    "content-type",
    "expect",
    "user-agent",
}


def shape(body, kind):
    """The paths of all elements of an answer, without what is in them."""
    found = set()

    def walk_json(value, path):
        if isinstance(value, dict):
            for key, below in value.items():
                found.add(f"{path}/{key}")
                walk_json(below, f"{path}/{key}")
        elif isinstance(value, list):
            for below in value:
                walk_json(below, path)

    def walk_xml(element, path):
        path = f"{path}/{element.tag.rsplit('}')[-1]}"
        found.add(path)
        for below in element:
            walk_xml(below, path)

    if "json" in kind and body:
        walk_json(json.loads(body), "")
    elif "xml" in kind and body:
        walk_xml(ElementTree.fromstring(body), "")
    return sorted(found)


class Recorder(http.server.BaseHTTPRequestHandler):
    """Passes requests on and keeps them."""

    protocol_version = "HTTP/1.1"
    target = None
    kept = []

    def handle_one(self):
        length = int(self.headers.get("content-length", 0))
        body = self.rfile.read(length)
        upstream = http.client.HTTPConnection(self.target, timeout=60)
        headers = {name: value for name, value in self.headers.items() if name.lower() != "expect"}
        upstream.request(self.command, self.path, body=body, headers=headers)
        answer = upstream.getresponse()
        content = answer.read()
        # Before the client has it, and goes on.
        self.kept.append((self.command, self.path, dict(self.headers.items()), body, answer, content))
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("transfer-encoding", "connection", "content-length"):
                self.send_header(name, value)
        length = answer.getheader("content-length") if self.command == "HEAD" else len(content)
        self.send_header("Content-Length", str(length or 0))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = handle_one

    def log_message(self, *_):
        pass


def without_secrets(headers):
    kept = {}
    for name, value in headers.items():
        name = name.lower()
        if name in KEPT or name.startswith("x-amz-"):
            kept[name] = re.sub(r"Signature=[0-9a-f]+", "Signature=" + "0" * 64, value)
    kept.pop("x-amz-security-token", None)
    return kept


def run(aws, words, environment):
    """Status and output of a command."""
    if aws:
        done = subprocess.run([*aws, *words], env=environment, capture_output=True, check=False)
        return done.returncode, (done.stdout + done.stderr).decode()
    from awscli.clidriver import create_clidriver

    os.environ.update(environment)
    said = io.StringIO()
    said.buffer = io.BytesIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            status = create_clidriver().main(words)
        except SystemExit as end:
            status = end.code
    return status, said.getvalue()


def main():
    endpoint, output, *aws = sys.argv[1:]
    output = pathlib.Path(output).absolute()
    os.chdir(HERE)
    Recorder.target = urllib.parse.urlsplit(endpoint).netloc
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Recorder)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    environment = {
        **os.environ,
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.server_port}",
        "AWS_ACCESS_KEY_ID": "123456789012",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "ap-northeast-2",
        "AWS_PAGER": "",
        "AWS_DISABLE_HOST_PREFIX_INJECTION": "true",
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    names, lines = {}, []
    for line in (HERE / "commands.txt").read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        # `name=prefix | command`: the first id with the prefix in the answer gets the name.
        # `! command`: the command is refused.
        refused = line.startswith("! ")
        capture, command = re.fullmatch(r"(?:(\w+=\S+) \| )?(.*)", line.removeprefix("! ")).groups()
        filled = re.sub(r"\{(\w+)\}", lambda it: names[it[1]], command)
        Recorder.kept.clear()
        status, said = run(aws, shlex.split(filled), environment)
        if (status != 0) != refused:
            sys.exit(f"aws {filled}\n{said}")
        for method, path, headers, body, answer, content in Recorder.kept:
            kind = answer.getheader("content-type") or ""
            names_now = {value: name for name, value in names.items()}

            def by_name(text):
                for value, name in names_now.items():
                    text = text.replace(value, "{" + name + "}")
                return text

            request = {"command": command, "method": method, "path": by_name(path)}
            request["headers"] = without_secrets(headers)
            try:
                request["body"] = by_name(body.decode())
            except UnicodeDecodeError:
                request["base64"] = base64.b64encode(body).decode()
            request["status"] = answer.status
            request["shape"] = shape(content.decode(errors="replace"), kind)
            lines.append(request)
        if capture:
            name, _, prefix = capture.partition("=")
            said = Recorder.kept[-1][-1].decode()
            found = re.search(r"(?<![a-z0-9-])" + re.escape(prefix) + r"[0-9a-f]{8,}", said)
            names[name] = found[0]
            lines[-1]["name"], lines[-1]["prefix"] = name, prefix
        with open(output, "w", encoding="utf-8") as out:
            for request in lines:
                out.write(json.dumps(request, ensure_ascii=False, sort_keys=True) + "\n")
        print("ok", command[:100], flush=True)


main()
