// What to type on a device to enrol it. Pure.

const quote = (text: string) => `'${text.replaceAll("'", "'\\''")}'`;

/** The commands, one a line, for a shell of root: the cloud's address, a join token's secret, and the device's name and place. */
export function enrolCommands(cloud: string, secret: string, name: string, place: string): string {
  const where = place.trim();
  return [
    "ecep-agent setup",
    `(umask 077; printf %s ${quote(secret)} > join-token)`,
    `ecep-agent enroll ${cloud} --token-file join-token --name ${quote(name)}${where ? ` --place ${quote(where)}` : ""}`,
    "ecep-agent run",
  ].join("\n");
}
