import { Health } from "@tandem/contract/health/v1/health";
import { allow, type Rules } from "./rules.ts";

/** What anyone may call, also whoever doesn't say who it is: a service's health, and reflection where that is on. */
export function openRules({ reflection }: { readonly reflection: boolean }): Rules {
  return { ...allow(Health, { check: "anyone" }), ...(reflection ? reflectionRules : {}) };
}

const reflectionRules: Rules = {
  "grpc.reflection.v1.ServerReflection/ServerReflectionInfo": "anyone",
  "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": "anyone",
};
