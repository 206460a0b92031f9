// Browses a zone as RFC 6763 has it, with Node's own resolver: prints a JSON array of what each instance leads to.
const { Resolver } = require('node:dns').promises;

async function main([server, zone, kind]) {
  const resolver = new Resolver({ timeout: 5000, tries: 2 });
  resolver.setServers([server]);
  const found = [];
  for (const domain of await resolver.resolvePtr(`b._dns-sd._udp.${zone}`)) {
    const services = await resolver.resolvePtr(`_services._dns-sd._udp.${domain}`);
    if (!services.includes(`${kind}.${domain}`)) continue;
    for (const instance of await resolver.resolvePtr(`${kind}.${domain}`)) {
      const edges = await resolver.resolveSrv(instance);
      const texts = await resolver.resolveTxt(instance);
      found.push({ instance, edges: edges.map((each) => `${each.name}:${each.port}`).sort(), texts: texts.flat() });
    }
  }
  console.log(JSON.stringify(found));
}

main(process.argv.slice(2)).catch((error) => {
  console.error(error);
  process.exit(1);
});
