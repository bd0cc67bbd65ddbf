-- Returns messages to their line that another build of the workers could not take.
-- flags: allow-oom
-- parts: epoch, moves, ready
-- KEYS[1] prefix  ARGV: epoch, now_ms, build of the worker that asks, cursor
-- Returns {next cursor, messages put back}.
local answer = CALL('HSCAN', P .. 'parked', ARGV[4], 'COUNT', 200)
local count, found = 0, answer[2]
for i = 1, #found, 2 do
  local id, build, version = found[i], string.sub(found[i + 1], 1, -10), string.sub(found[i + 1], -8)
  local key = P .. 'r:' .. id
  local rec = CALL('GET', key)
  if not rec or string.sub(rec, 2, 10) ~= 'S' .. version then
    CALL('HDEL', P .. 'parked', id)
  elseif build ~= ARGV[3] then
    rec = '1P' .. version_after(version) .. string.sub(rec, 11)
    CALL('SET', key, rec)
    CALL('ZREM', P .. 'd', id .. ':' .. version)
    CALL('HDEL', P .. 'parked', id)
    make_ready(id, rec, true)
    count = count + 1
  end
end
return {answer[1], count}
