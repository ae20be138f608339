// A counter in the memory of Node.js: every `POST /` raises it and answers it with the process's number and mark.
import { randomBytes } from "node:crypto";
import { createServer } from "node:http";

const mark = randomBytes(8).toString("hex");
let count = 0;

const server = createServer((_request, response) => {
  count += 1;
  response.end(`${process.pid} ${mark} ${count}`);
});
// The client's one connection may be silent for as long as a move takes.
server.keepAliveTimeout = 600_000;
server.listen(8080);
