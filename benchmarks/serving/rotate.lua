-- For wrk: sends prepared requests in turn and prints one line of JSON at the end.
--
--   wrk -s rotate.lua ... http://127.0.0.1:PORT -- FILE...
--
-- Each file is a whole HTTP/1.1 request. It gets an X-Request-ID that says when it was sent (microseconds): a
-- server that echoes it lets us time its accepted requests apart from those that it refused with 503.

local ffi = require("ffi")
ffi.cdef [[
typedef struct { long seconds; long nanoseconds; } moment;
int clock_gettime(int clock, moment *now);
]]
local MONOTONIC = 1
local now = ffi.new("moment")

local function now_us()
   ffi.C.clock_gettime(MONOTONIC, now)
   return tonumber(now.seconds) * 1000000 + math.floor(tonumber(now.nanoseconds) / 1000)
end

local threads = {}

function setup(thread)
   thread:set("turn", 5 * #threads)
   table.insert(threads, thread)
end

function init(args)
   heads, tails = {}, {}
   for i = 1, #args do
      local file = assert(io.open(args[i], "rb"))
      local whole = file:read("*a")
      file:close()
      local _, line_end = whole:find("\r\n", 1, true)
      heads[i], tails[i] = whole:sub(1, line_end), whole:sub(line_end + 1)
   end
   ok, refused, failed, echoed_us = 0, 0, 0, {}
end

function request()
   turn = turn % #heads + 1
   return string.format("%sX-Request-ID: %.0f\r\n%s", heads[turn], now_us(), tails[turn])
end

function response(status, headers)
   if status == 503 then
      refused = refused + 1
   elseif status < 200 or status > 299 then
      failed = failed + 1
   else
      ok = ok + 1
      local sent_us = tonumber(headers["x-request-id"] or headers["X-Request-ID"])
      if sent_us then echoed_us[#echoed_us + 1] = now_us() - sent_us end
   end
end

local function percentile(sorted, share)
   return sorted[math.max(math.ceil(share * #sorted), 1)]
end

function done(summary, latency)
   local total = { ok = 0, refused = 0, failed = 0 }
   local accepted_us = {}
   for _, thread in ipairs(threads) do
      for name in pairs(total) do total[name] = total[name] + thread:get(name) end
      for _, us in ipairs(thread:get("echoed_us")) do accepted_us[#accepted_us + 1] = us end
   end
   local p50_us, p99_us = latency:percentile(50), latency:percentile(99)
   if total.refused > 0 and #accepted_us > 0 then
      table.sort(accepted_us)
      p50_us, p99_us = percentile(accepted_us, 0.5), percentile(accepted_us, 0.99)
   end
   local lost = summary.errors
   io.write(string.format(
      '{"seconds": %.6f, "ok": %d, "refused": %d, "failed": %d, "lost": %d, "p50_ms": %.3f, "p99_ms": %.3f}\n',
      summary.duration / 1e6, total.ok, total.refused, total.failed,
      lost.connect + lost.read + lost.write + lost.timeout, p50_us / 1000, p99_us / 1000))
end
