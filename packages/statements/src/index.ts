export { type DeclaredStatement, defineStatement } from "./define-statement.ts";
export { type DeclaredType, type DeclaredTypes, type Field, fieldsOf, typeText } from "./declared-types.ts";
