-- Counts a few queues. There may be thousands, so the caller asks for some at a time: no look may hold the node for long.
-- flags: no-writes
-- KEYS[1] prefix  ARGV: letters of the final states ('+' in front: name the idle children, unless they are many), then
--   names of queues
-- Returns per queue {ready, idle children (how many, or their names), how many wait for their turn in a sequence, how many reached each of the states}.
local P = KEYS[1]
local letters, found = ARGV[1], {}
local named = string.sub(letters, 1, 1) == '+'
if named then letters = string.sub(letters, 2) end
local NAMED_MAX = 200
for at = 2, #ARGV do
  local queue, fields, ready = ARGV[at], {}, 0
  for priority = 9, 0, -1 do ready = ready + redis.call('LLEN', P .. 'q:' .. queue .. ':' .. priority) end
  for i = 1, #letters do fields[i] = queue .. ':' .. string.sub(letters, i, i) end
  -- of a paused queue the idle ones stand in another set than those of one that goes on, and in one more those that wait for tickets
  local sets, idle = {P .. 'idle:' .. queue, P .. 'pidle:' .. queue, P .. 'tidle:' .. queue}, 0
  for i = 1, #sets do idle = idle + redis.call('ZCARD', sets[i]) end
  if named and idle <= NAMED_MAX then
    idle = {}
    for i = 1, #sets do
      for _, holder in ipairs(redis.call('ZRANGE', sets[i], 0, -1)) do idle[#idle + 1] = holder end
    end
  end
  local row = {ready, idle, redis.call('SCARD', P .. 'blk:' .. queue)}
  for i, reached in ipairs(redis.call('HMGET', P .. 'stats', unpack(fields))) do row[3 + i] = tonumber(reached or 0) end
  found[at - 1] = row
end
return found
