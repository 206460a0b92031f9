// An origin that says where a path leads, by what applications for Node make of it.
const http = require('http'), path = require('path');
const attempt = (read) => { try { return read(); } catch { return '/'; } };
const cut = (text) => text.split('?')[0];
http.createServer((request, response) => {
  const raw = cut(request.url);
  const parsed = attempt(() => new URL(request.url, 'http://app').pathname);
  const decoded = attempt(() => decodeURIComponent(raw));
  response.end(JSON.stringify([
    raw, parsed, decoded,
    attempt(() => decodeURIComponent(parsed)),
    path.posix.normalize(decoded),
    path.win32.normalize(decoded).replace(/\\/g, '/'),
    raw.toLowerCase(),                    // as Express routes unless it is told otherwise
    attempt(() => decodeURIComponent(decoded)),
  ]));
}).listen(process.argv[2], () => console.log('ready'));
