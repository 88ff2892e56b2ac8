import { expect, it } from "vitest";
import { checkPlaintext, isLoopback, PlaintextError } from "./loopback.ts";

it.each([
  "127.0.0.1:7401",
  "127.8.8.8:0",
  "localhost:7401",
  "[::1]:7401",
  "dns:///localhost:7401",
  "dns:localhost:7401",
  "ipv4:127.0.0.1:1,127.0.0.1:2",
  "ipv6:[::1]:1",
  "unix:/run/tandem.sock",
])("%s is this machine's alone", (address) => {
  expect(isLoopback(address)).toBe(true);
  checkPlaintext(address);
});

it.each([
  "0.0.0.0:7401",
  "[::]:7401",
  "assistant:7401",
  "10.0.0.1:7401",
  "127.0.0.1.example.org:7401",
  "localhost.example.org:7401",
  "dns:///assistant:7401",
  "dns://10.0.0.1/localhost:7401",
  "ipv4:127.0.0.1:1,10.0.0.1:2",
  "xds:///localhost:1",
  "127.0.0.1",
  "",
])("%s is not, or not for certain", (address) => {
  expect(isLoopback(address)).toBe(false);
  expect(() => checkPlaintext(address)).toThrow(PlaintextError);
});
