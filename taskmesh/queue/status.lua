-- Counts for people: approximate by nature, exact at the moment of the call.
-- flags: no-writes
-- KEYS[1] prefix
-- Returns {delayed, parked, dead, {workers: incarnation, state, beat, info, running}, {paused queues},
-- {what each candidate for the lead says of itself, behind its id}}.
local P = KEYS[1]
local workers = {}
for _, incarnation in ipairs(redis.call('SMEMBERS', P .. 'workers')) do
  local key = P .. 'w:' .. incarnation
  local w = redis.call('HMGET', key, 'state', 'beat', 'info')
  local running = 0
  for _, field in ipairs(redis.call('HKEYS', key)) do
    if string.sub(field, 1, 1) == 's' and #field == 7 then
      for _, ids in ipairs(redis.call('HVALS', P .. 'run:' .. incarnation .. string.sub(field, 2))) do
        local _, newlines = string.gsub(ids, '\n', '')
        running = running + newlines + 1
      end
    end
  end
  workers[#workers + 1] = {incarnation, w[1] or 'gone', w[2] or '0', w[3] or '', running}
end
return {redis.call('ZCARD', P .. 'd'), redis.call('HLEN', P .. 'parked'), redis.call('ZCARD', P .. 'dead'), workers,
  redis.call('SMEMBERS', P .. 'paused'), redis.call('HGETALL', P .. 'candidates')}
