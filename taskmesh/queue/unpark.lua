-- Returns messages to their line that another build of the workers could not take, and the one that asks can.
-- flags: allow-oom
-- parts: epoch, moves, ready, events
-- KEYS[1] prefix  ARGV: epoch, now_ms, build of the worker that asks, cursor, its incarnation, how many queues it serves, these, the
--   names of its tasks
-- What it does not serve, or does not know, stays: whoever parked that would take it, and park it again, without end.
-- Only its own idle children are woken: one of the build that parked them would, as fast as it takes them, park them again.
-- Returns {next cursor, messages put back}.
local first_task = 7 + tonumber(ARGV[6])
local serves, knows = {}, {}
for i = 7, first_task - 1 do serves[ARGV[i]] = true end
for i = first_task, #ARGV do knows[ARGV[i]] = true end

local function can_run(rec)
  if not serves[queue_of(rec)] then return false end
  -- what brings its function with it needs no name
  if string.sub(rec, 107, 108) ~= '00' then return true end
  local task = task_in(rec)
  return task == '' or knows[task]
end

local answer = CALL('HSCAN', P .. 'parked', ARGV[4], 'COUNT', 200)
local count, found, queues = 0, answer[2], {}
for i = 1, #found, 2 do
  local id, build, version = found[i], string.sub(found[i + 1], 1, -10), string.sub(found[i + 1], -8)
  local key = P .. 'r:' .. id
  local rec = CALL('GET', key)
  if not rec or string.sub(rec, 2, 10) ~= 'S' .. version then
    CALL('HDEL', P .. 'parked', id)
  elseif build ~= ARGV[3] and can_run(rec) then
    rec = '1P' .. version_after(version) .. string.sub(rec, 11)
    CALL('SET', key, rec)
    CALL('ZREM', P .. 'd', id .. ':' .. version)
    CALL('HDEL', P .. 'parked', id)
    local queue = queue_of(rec)
    if not queues[queue] then CALL('SADD', P .. 'queues', queue) end
    queues[queue] = true
    CALL('LPUSH', P .. 'q:' .. queue .. ':' .. string.sub(rec, 61, 61), id .. ':' .. string.sub(rec, 3, 10))
    count = count + 1
  end
end
for queue in pairs(queues) do
  for _, idle in ipairs({P .. 'idle:' .. queue, P .. 'tidle:' .. queue}) do
    for _, holder in ipairs(CALL('ZRANGE', idle, 0, -1)) do
      if string.sub(holder, 1, 16) == ARGV[5] then
        CALL('ZREM', idle, holder)
        CALL('RPUSH', P .. 'wake:' .. holder, '1')
      end
    end
  end
end
return {answer[1], count}
