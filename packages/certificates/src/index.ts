// What issues is exported by "./authority": its library takes longer to load than everything here takes to run.
export { CertificatesError } from "./certificates-error.ts";
export {
  type IssueReason,
  type ProvidedCertificate,
  type ProvidedCertificates,
  type ProvideOptions,
  provideCertificates,
} from "./provide.ts";
export { replaceFile } from "./replace-file.ts";
export { checkHost, checkName } from "./subject-names.ts";
