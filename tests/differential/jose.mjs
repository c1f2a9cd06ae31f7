// Judges tokens with jose: a line of JSON in, a line with the verdict out.
import { createInterface } from "node:readline";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const require = createRequire(new URL("../provider/package.json", import.meta.url));
const { importJWK, jwtVerify } = await import(pathToFileURL(require.resolve("jose")).href);

const keys = new Map();
for await (const line of createInterface({ input: process.stdin })) {
  const { jwk, token, algorithms, issuer, audience, now } = JSON.parse(line);
  const name = JSON.stringify(jwk);
  if (!keys.has(name)) keys.set(name, await importJWK(jwk, algorithms[0]));
  const options = {
    algorithms, issuer, audience, clockTolerance: 30, currentDate: new Date(now * 1000), requiredClaims: ["exp"],
  };
  let verdict = "accepted";
  try {
    await jwtVerify(token, keys.get(name), options);
  } catch (error) {
    verdict = error.code ?? error.name;
  }
  process.stdout.write(`${verdict}\n`);
}
