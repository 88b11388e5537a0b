import { once } from "node:events";
import { createServer, request as forward, type Server } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { HubServer } from "../../test/hub-server.ts";
import { HttpClient, reasonOf } from "./http.ts";
import { fetchHubModel } from "./hub-model.ts";

/** A proxy that notes what goes through it. */
async function startProxy(): Promise<{ server: Server; address: string; through: string[] }> {
  const through: string[] = [];
  const server = createServer((request, response) => {
    through.push(`${request.method} ${request.url}`);
    const { method, headers } = request;
    forward(request.url!, { method: method!, headers }, (answer) => {
      response.writeHead(answer.statusCode!, answer.headers);
      answer.pipe(response);
    }).end();
  });
  server.on("connect", (request, socket) => {
    through.push(`CONNECT ${request.url}`);
    const [host, port] = request.url!.split(":");
    const upstream = connect(Number(port), host!, () => {
      socket.write("HTTP/1.1 200 OK\r\n\r\n");
      upstream.pipe(socket).pipe(upstream);
    });
    socket.on("error", () => upstream.destroy());
    upstream.on("error", () => socket.destroy());
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return { server, address: `127.0.0.1:${(server.address() as AddressInfo).port}`, through };
}

describe("proxies", () => {
  let hub: HubServer;
  let proxy: Awaited<ReturnType<typeof startProxy>>;
  beforeEach(async () => {
    hub = await HubServer.start();
    hub.add("m-Q8_0.gguf", 1000);
    proxy = await startProxy();
  });
  afterEach(async () => {
    proxy.server.closeAllConnections();
    proxy.server.close();
    await hub[Symbol.asyncDispose]();
  });

  const fetchModel = (env: Record<string, string>) =>
    fetchHubModel("hf:owner/repo:Q8_0", { env: { ...hub.env, ...env }, retryMs: 1 });

  test.each(["http_proxy", "HTTP_PROXY"])("%s is used, with or without http://", async (name) => {
    await fetchModel({ [name]: name === "HTTP_PROXY" ? proxy.address : `http://${proxy.address}` });
    expect(proxy.through).toHaveLength(4);
    expect(proxy.through[0]).toBe(`GET ${hub.endpoint}/api/models/owner/repo/revision/main?blobs=true`);
  });

  test("https goes through a tunnel of the proxy", async () => {
    const env = { HTTPS_PROXY: proxy.address, HF_ENDPOINT: hub.endpoint.replace("http:", "https:") };
    // The hub of this test does not speak TLS.
    await expect(fetchModel(env)).rejects.toMatchObject({ code: "download-failed" });
    expect(proxy.through[0]).toBe(`CONNECT ${new URL(hub.endpoint).host}`);
  });

  test("NO_PROXY", async () => {
    await fetchModel({ HTTP_PROXY: proxy.address, NO_PROXY: "example.org,127.0.0.1" });
    expect(proxy.through).toEqual([]);
  });

  test.each(["socks5://127.0.0.1:1", "http://"])("%s is refused, and not shown", async (address) => {
    const failed = fetchModel({ HTTPS_PROXY: address });
    await expect(failed).rejects.toThrow(
      /^HTTPS_PROXY is not the address of an HTTP proxy; give one such as/,
    );
  });
});

describe("where there is no network", () => {
  test("a request fails at once", async () => {
    const endpoint = "http://127.0.0.1:9";
    const failed = fetchHubModel("hf:o/r:Q8_0", { env: { HF_ENDPOINT: endpoint, HF_HOME: "/nowhere" } });
    await expect(failed).rejects.toThrow(
      new RegExp(`^${endpoint} cannot be reached: .+; HTTPS_PROXY names a proxy`),
    );
    await expect(failed).rejects.toMatchObject({ code: "download-failed" });
  });

  test("HF_ENDPOINT that is no address", async () => {
    const failed = fetchHubModel("hf:o/r:Q8_0", { env: { HF_ENDPOINT: "hub" } });
    await expect(failed).rejects.toThrow('HF_ENDPOINT is "hub"; give the address of a hub');
  });
});

describe("redirects", () => {
  let server: Server;
  let url: string;
  const seen: (string | undefined)[] = [];
  beforeEach(async () => {
    seen.length = 0;
    server = createServer((request, response) => {
      seen.push(request.headers.authorization);
      if (request.url === "/end") response.end("here");
      else
        response
          .writeHead(302, { location: request.url === "/away" ? `http://localhost:${port()}/end` : "/end" })
          .end();
    });
    const port = () => (server.address() as AddressInfo).port;
    server.listen(0);
    await once(server, "listening");
    url = `http://127.0.0.1:${port()}`;
  });
  afterEach(() => {
    server.closeAllConnections();
    server.close();
  });

  test("keep the token on the same host, and on no other", async () => {
    await using http = await HttpClient.open({ env: {}, token: { origin: url, value: "secret" } });
    for (const path of ["/same", "/away"]) (await http.send(url + path)).body.resume();
    expect(seen).toEqual(["Bearer secret", "Bearer secret", "Bearer secret", undefined]);
  });
});

test("the reason of a failure is that of its causes", () => {
  const refused = Object.assign(new AggregateError([]), { code: "ECONNREFUSED" });
  expect(reasonOf(new Error("fetch failed", { cause: refused }))).toBe("fetch failed: ECONNREFUSED");
});
