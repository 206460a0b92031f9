-- For wrk: requests with the 13 fields that a browser sends, of which Referer and Cookie differ from one request to the
-- next and never repeat. Arguments after wrk's own: the target, the Host, and, if requests are to carry tokens, a file with
-- one a line, which take turns; then the path below the target takes turns, too.

local first, before, middle, after
local count = 0
local start = 0
local tokens = {}

function init(arguments)
   local target, host = arguments[1], arguments[2]
   if arguments[3] then
      for token in io.lines(arguments[3]) do
         tokens[#tokens + 1] = "\r\nAuthorization: Bearer " .. token
      end
   end
   -- No two runs begin with the same number, so that nothing remembered from the last one fits.
   start = os.time() % 1000000
   first = "GET " .. target
   before = " HTTP/1.1\r\n"
      .. "Host: " .. host .. "\r\n"
      .. "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n"
      .. "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n"
      .. "Accept-Language: en-US,en;q=0.5\r\n"
      .. "Accept-Encoding: gzip, deflate, br, zstd\r\n"
      .. "Connection: keep-alive\r\n"
      .. "Referer: https://" .. host .. "/catalogue?page="
   middle = "\r\nCookie: theme=dark; session="
   after = "\r\nUpgrade-Insecure-Requests: 1\r\n"
      .. "Sec-Fetch-Dest: document\r\n"
      .. "Sec-Fetch-Mode: navigate\r\n"
      .. "Sec-Fetch-Site: same-origin\r\n"
      .. "Priority: u=0, i\r\n\r\n"
end

function request()
   count = count + 1
   local path, token = "", ""
   if #tokens > 0 then
      path, token = "/item/" .. count % 1000, tokens[count % #tokens + 1]
   end
   local session = string.format("%06d%010d%016x", start, count, count * 2654435761)
   return first .. path .. before .. count .. token .. middle .. session .. after
end
