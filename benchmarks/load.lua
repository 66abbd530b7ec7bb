-- Replays ready-made requests in turn: wrk ... -s load.lua URL -- FILE
-- FILE: each request after a line with its length. Prints what was measured as one line of JSON.
local requests, count, last = {}, 0, 0

function init(args)
  local file = assert(io.open(args[1], "rb"))
  for length in function() return file:read("*l") end do
    count = count + 1
    requests[count] = file:read(tonumber(length))
  end
  file:close()
end

function request()
  last = last % count + 1
  return requests[last]
end

function done(summary, latency)  -- all times are in µs
  local e = summary.errors
  io.write(string.format(
    '\nRESULT {"requests":%d,"seconds":%.6f,"p50":%.6f,"p95":%.6f,"p99":%.6f,"max":%.6f,' ..
    '"errors":{"connect":%d,"read":%d,"write":%d,"status":%d,"timeout":%d}}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e6, latency:percentile(95) / 1e6,
    latency:percentile(99) / 1e6, latency.max / 1e6, e.connect, e.read, e.write, e.status, e.timeout))
end
