"""What the checks run: the gateway, built from this directory, tools that are installed for them, and servers."""

import hashlib
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
# Longest time for anything to come about, in seconds; far more than it takes.
PATIENCE = 60
# What servers say when they are there.
GATEWAY_READY = "is ready"
SIDECAR_READY = "simulated sidecar on"


def target_directory():
    """Where cargo puts what it builds; what the checks install and generate goes there too."""
    metadata = ["cargo", "metadata", "--format-version", "1", "--no-deps"]
    output = subprocess.run(metadata, cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout
    return pathlib.Path(json.loads(output)["target_directory"])


def build():
    """Builds the gateway; where its binary is."""
    # With a test, so that the crates have the features they were built with for the tests, and nothing is built twice.
    subprocess.run(["cargo", "build", "--bin", "scalegate", "--test", "model"], cwd=ROOT, check=True)
    return target_directory() / "debug" / "scalegate"


def generate_key(binary):
    """An admin key for SCALEGATE_ADMIN_KEY."""
    return subprocess.run([binary, "keys", "generate"], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def install(venv, requirements):
    """Installs exactly what the requirements pin, unless that has been done; returns where the commands are."""
    marker = venv / "installed"
    wanted = hashlib.sha256(requirements.read_bytes() + sys.version.encode()).hexdigest()
    if not marker.exists() or marker.read_text() != wanted:
        subprocess.run([sys.executable, "-m", "venv", "--clear", venv], check=True)
        pip = [venv / "bin" / "python", "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
        subprocess.run([*pip, "--require-hashes", "--only-binary", ":all:", "-r", requirements], check=True)
        marker.write_text(wanted)
    return venv / "bin"


class Server:
    """A process that says when it is there and perhaps where, with its output in a file. Killed in the end."""

    def __init__(self, log, ready, command, **variables):
        self.log, self.ready = log, ready
        environment = {name: value for name, value in os.environ.items() if not name.startswith("SCALEGATE_")}
        environment |= variables
        with log.open("wb") as output:
            self.process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=environment)

    def __enter__(self):
        deadline = time.monotonic() + PATIENCE
        while not (line := self.first_words()):
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.__exit__()
                sys.exit(f"It does not start:\n{self.log.read_text(errors='replace')}")
            time.sleep(0.02)
        found = re.search(r"127\.0\.0\.1:\d+", line)
        self.address = found[0] if found else None
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def first_words(self):
        """The line that says that it is there."""
        said = self.log.read_text(errors="replace")
        return next((line for line in said.splitlines() if self.ready in line), "")

    def stop(self):
        """Tells it to stop; its exit code, or None if it does not."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            return None
