import { describe, expect, it } from "vitest";
import { readCallers, readPeerIdentity, readProcessIdentity } from "./identity-settings.ts";
import { SettingError, Settings } from "./settings.ts";

const files = {
  TANDEM_TLS_CERTIFICATE_FILE: "own.crt",
  TANDEM_TLS_KEY_FILE: "own.key",
  TANDEM_TLS_AUTHORITY_FILE: "authority.crt",
};
const tls = { certificateFile: "own.crt", keyFile: "own.key", authorityFile: "authority.crt" };
const plaintext = { TANDEM_ALLOW_PLAINTEXT: "true" };

describe("a process's identity", () => {
  it.each([
    ["its certificate", files, { tls }],
    ["a certificate and tokens", { ...files, TANDEM_TOKENS_FILE: "t" }, { tls, tokensFile: "t" }],
    [
      "tokens in plaintext",
      { ...plaintext, TANDEM_TOKENS_FILE: "t" },
      { allowPlaintext: true, tokensFile: "t" },
    ],
    [
      "one caller in plaintext",
      { ...plaintext, TANDEM_PLAINTEXT_CALLER: "gateway" },
      { allowPlaintext: true, plaintextCaller: "gateway" },
    ],
  ])("is %s", (_, environment, identity) => {
    expect(readProcessIdentity(new Settings(environment))).toEqual(identity);
  });

  it.each([
    ["nothing at all", {}, "TANDEM_TLS_CERTIFICATE_FILE is not set"],
    ["tokens, which TLS has to hide", { TANDEM_TOKENS_FILE: "t" }, "TANDEM_TLS_CERTIFICATE_FILE is not set"],
    ["a key alone", { TANDEM_TLS_KEY_FILE: "k" }, "TANDEM_TLS_CERTIFICATE_FILE is not set"],
    ["no authority", { ...files, TANDEM_TLS_AUTHORITY_FILE: "" }, "TANDEM_TLS_AUTHORITY_FILE is not set"],
    ["both ways", { ...files, ...plaintext }, "leave them out"],
    ["a caller beside certificates", { ...files, TANDEM_PLAINTEXT_CALLER: "gateway" }, "leave them out"],
    ["plaintext without a caller", plaintext, "says nothing of who calls"],
    [
      "a caller that is no name",
      { ...plaintext, TANDEM_PLAINTEXT_CALLER: "The Gateway" },
      "TANDEM_PLAINTEXT_CALLER: a caller's name has",
    ],
  ])("can't be %s", (_, environment, message) => {
    const read = (): unknown => readProcessIdentity(new Settings(environment));
    expect(read).toThrow(SettingError);
    expect(read).toThrow(message);
  });
});

describe("a process's identity to a peer", () => {
  const peer = { prefix: "TANDEM_ASSISTANT", name: "assistant", address: "127.0.0.1:7403" };
  const bare = { allowPlaintext: true, plaintextCaller: "gateway" };

  it.each([
    ["its certificate", {}, { ...peer, identity: { tls } }, { tls: { ...tls, peer: "assistant" } }],
    [
      "a token beside it",
      { TANDEM_ASSISTANT_TOKEN_FILE: "token", TANDEM_ASSISTANT_NAME: "other" },
      { ...peer, identity: { tls } },
      { tls: { ...tls, peer: "other" }, token: { file: "token" } },
    ],
    [
      "a token in plaintext",
      { TANDEM_ASSISTANT_TOKEN_FILE: "token" },
      { ...peer, identity: bare },
      { token: { file: "token" } },
    ],
    ["nothing, on this machine", {}, { ...peer, identity: bare }, {}],
  ])("is %s", (_, environment, settings, identity) => {
    expect(readPeerIdentity(new Settings(environment), settings)).toEqual(identity);
  });

  it("can't be nothing where the peer is on another machine", () => {
    const settings = { ...peer, address: "assistant:7403", identity: bare };
    expect(() => readPeerIdentity(new Settings({}), settings)).toThrow(
      "TANDEM_ASSISTANT_ADDRESS is not on this machine",
    );
  });
});

describe("the callers of a service", () => {
  const callersOf = (value: string) =>
    readCallers(new Settings({ TANDEM_X_CALLERS: value }), "TANDEM_X_CALLERS");

  it("are named with commas between, and are nobody where nothing is said", () => {
    expect(callersOf("app, admin,")).toEqual(["app", "admin"]);
    expect(callersOf("")).toEqual([]);
  });

  it("have names that a certificate or a token can give", () => {
    expect(() => callersOf("app,Not A Name")).toThrow(/^TANDEM_X_CALLERS: /);
  });
});
