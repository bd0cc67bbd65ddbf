-- Counts for people: approximate by nature, exact at the moment of the call.
-- flags: no-writes
-- KEYS[1] prefix
-- Returns {{queue, ready by priority 9..0 ...} ..., delayed, parked, dead, {stats}, {workers: incarnation, state, beat, info ...},
--   {idle per queue}, {paused queues}, {queue, how many wait for their turn in a sequence ...}}.
local P = KEYS[1]
local queues, idle, blocked = {}, {}, {}
for _, queue in ipairs(redis.call('SMEMBERS', P .. 'queues')) do
  local row = {queue}
  for priority = 9, 0, -1 do row[#row + 1] = redis.call('LLEN', P .. 'q:' .. queue .. ':' .. priority) end
  queues[#queues + 1] = row
  blocked[#blocked + 1] = queue
  blocked[#blocked + 1] = redis.call('SCARD', P .. 'blk:' .. queue)
  -- of a paused queue they stand in another set than those of one that goes on
  idle[#idle + 1] = {queue, redis.call('ZCARD', P .. 'idle:' .. queue) + redis.call('ZCARD', P .. 'pidle:' .. queue)}
end
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
return {queues, redis.call('ZCARD', P .. 'd'), redis.call('HLEN', P .. 'parked'), redis.call('ZCARD', P .. 'dead'),
  redis.call('HGETALL', P .. 'stats'), workers, idle,
  redis.call('SMEMBERS', P .. 'paused'), blocked}
