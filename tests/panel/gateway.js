/** The real binary: a simulated sidecar, and a gateway that can be killed and started again where it was. */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const BINARY =
  process.env.SCALEGATE ?? join(process.env.CARGO_TARGET_DIR ?? join(ROOT, "target"), "debug", "scalegate");

/** Longest time to start or stop anything; far more than it takes. */
const PATIENCE_MILLIS = 30_000;

/** Nothing of the environment that the test runs in. */
const environment = () =>
  Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("SCALEGATE_")));

class Process {
  #child;
  lines = [];

  /** Starts the binary and waits until it says where it listens. */
  static async start(args) {
    const started = new Process();
    const child = (started.#child = spawn(BINARY, args, { env: environment(), stdio: ["ignore", "pipe", "pipe"] }));
    const address = await new Promise((resolve, reject) => {
      const tooLate = setTimeout(
        () => reject(new Error(`${args[0]} does not start:\n${started.lines.join("\n")}`)),
        PATIENCE_MILLIS,
      );
      const take = (line) => {
        started.lines.push(line);
        const ready =
          line.match(/simulated sidecar on http:\/\/([\d.:]+)/) ?? line.match(/is ready.*"address":"([\d.:]+)"/);
        if (ready) resolve(ready[1]);
      };
      createInterface(child.stdout).on("line", take);
      createInterface(child.stderr).on("line", take);
      child.on("error", reject);
      child.on("exit", (code) => reject(new Error(`${args[0]} ended with ${code}:\n${started.lines.join("\n")}`)));
      started.ended = once(child, "exit").finally(() => clearTimeout(tooLate));
    });
    started.address = address;
    return started;
  }

  /** Ends it, if it has not ended. */
  async end(signal) {
    this.#child.kill(signal);
    await this.ended;
  }
}

export class Sidecar {
  #args;

  static async start(args) {
    const sidecar = new Sidecar();
    sidecar.#args = args;
    await sidecar.#start("127.0.0.1:0");
    return sidecar;
  }

  async #start(listen) {
    this.process = await Process.start(["simulate", "--listen", listen, ...this.#args]);
  }

  /** On the same port. */
  restart = () => this.#start(this.address);

  get address() {
    return this.process.address;
  }

  /** Another program changes the capacity. */
  async setCapacity(alias, capacity) {
    const response = await fetch(`http://${this.address}/simulator/resource/${alias}/capacity`, {
      method: "PUT",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ capacity }),
    });
    if (!response.ok) throw new Error(`the simulated sidecar answered with ${response.status}`);
  }

  /** Waits until the resource is ready with so many units. */
  async reaches(alias, units) {
    const deadline = Date.now() + PATIENCE_MILLIS;
    for (let seen; ; ) {
      const reading = await (await fetch(`http://${this.address}/resource/${alias}/capacity`)).json();
      seen = `${reading.status} at ${reading.currentCapacity}`;
      if (seen === `ACTIVE at ${units}`) return;
      if (Date.now() > deadline) throw new Error(`${alias} is ${seen}, not ACTIVE at ${units}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  kill = () => this.process.end("SIGKILL");

  stop = () => this.process.end("SIGTERM");
}

export class Gateway {
  #args;

  /** With `configuration` as its file. */
  static async start(sidecar, args, configuration = "") {
    const gateway = new Gateway();
    gateway.directory = await mkdtemp(join(tmpdir(), "scalegate-panel-"));
    const file = join(gateway.directory, "scalegate.toml");
    await writeFile(file, configuration);
    gateway.#args = [
      "--data-dir",
      join(gateway.directory, "data"),
      "--config",
      file,
      "--sidecar-url",
      `http://${sidecar.address}`,
      "--log-format",
      "json",
      ...args,
    ];
    await gateway.#start("127.0.0.1:0");
    gateway.url = `http://${gateway.process.address}`;
    return gateway;
  }

  async #start(listen) {
    this.process = await Process.start(["serve", "--listen", listen, ...this.#args]);
  }

  /** As a crash would do it. */
  kill = () => this.process.end("SIGKILL");

  /** On the same port, with the same data. */
  restart = () => this.#start(this.process.address);

  async stop() {
    await this.process.end("SIGTERM");
    await rm(this.directory, { recursive: true });
  }

  /** Asks with the API key that the gateway was closed with, or with `key`. */
  async #ask(method, path, { body, key = this.adminKey } = {}) {
    const headers = body === undefined ? {} : { "Content-Type": "application/json" };
    if (key) headers.Authorization = `Bearer ${key}`;
    const response = await fetch(this.url + path, { method, headers, body: body && JSON.stringify(body) });
    const answer = await response.json();
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status}: ${answer.detail}`);
    return answer;
  }

  get = (path) => this.#ask("GET", path);

  submit = (wish, key) => this.#ask("POST", "/v1/jobs", { body: wish, key });

  submitGroup = (wish) => this.#ask("POST", "/v1/groups", { body: wish });

  cancel = (id) => this.#ask("POST", `/v1/jobs/${id}/cancel`);

  putPolicy = (alias, policy) => this.#ask("PUT", `/v1/resources/${alias}/policy`, { body: policy });

  /** Pushes a value of a metric, as a worker does. */
  push = (alias, metric, value) => this.#ask("POST", `/v1/resources/${alias}/metrics/${metric}`, { body: { value } });

  /** Pushes values of earlier times. */
  pushSamples = (alias, metric, samples) =>
    this.#ask("POST", `/v1/resources/${alias}/metrics/${metric}`, { body: { samples } });

  putHold = (alias, hold) => this.#ask("PUT", `/v1/resources/${alias}/hold`, { body: hold });

  claim = (alias, claim) => this.#ask("POST", `/v1/resources/${alias}/claims`, { body: claim });

  /** Makes an API key. */
  makeKey = (wish) => this.#ask("POST", "/v1/keys", { body: wish });

  revokeKey = (id) => this.#ask("POST", `/v1/keys/${id}/revoke`);

  /** Makes the first key, an admin's. From now on the gateway wants one. */
  async close() {
    const { secret } = await this.makeKey({ name: "operator", scope: "admin" });
    this.adminKey = secret;
  }
}
