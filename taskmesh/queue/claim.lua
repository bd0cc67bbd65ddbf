-- Takes ready messages for one child and records the lease; a repeat returns the same answer.
-- flags: allow-oom
-- parts: epoch, moves, ready, due, gates, idle
-- KEYS[1] prefix  ARGV: epoch, now_ms, holder (incarnation 16, child 6), sequence (8 hex), most
--   (0 = sign off: idle no more, it takes only what was handed over before), '1' if the child is registered as idle,
--   'l' if it is not and shall not be if nothing is found, else '0'; then the queues, best first
-- Returns a flat list: the lease (epoch, holder, sequence), then per message its hint (id:version) and the record as it
--   stood before the claim. A token is the version after that of the hint, and the lease. With nothing to take the child is
--   registered as idle, and the list holds only when the next delayed message is due (ms), if there is one.
--   From a queue that is paused nothing is taken; a child that waits for it as well is registered apart, so that nothing
--   is handed to it and the end of the pause wakes it. One that is woken by tickets is always registered apart: see `idle`.
-- Errors: DEADWORKER the incarnation was declared dead or never registered; OLDSEQUENCE a late duplicate.
local holder, seq, most = ARGV[3], ARGV[4], tonumber(ARGV[5])
local worker = P .. 'w:' .. string.sub(holder, 1, 16)
local run = P .. 'run:' .. holder
local known = CALL('HMGET', worker, 'state', 's' .. string.sub(holder, 17))
if known[1] ~= 'live' then return redis.error_reply('DEADWORKER ' .. (known[1] or 'unknown')) end
if most == 0 then idle_no_more(holder, 7) end

-- The version whose successor this one is.
local function version_before(version)
  local at = #version
  while at > 0 and string.byte(version, at) == 48 do at = at - 1 end
  if at == 0 then return version end
  local digit = string.byte(version, at)
  return string.sub(version, 1, at - 1) .. (digit == 97 and '9' or string.char(digit - 1)) .. string.rep('z', #version - at)
end

if known[2] == seq then
  local out, ids = {}, CALL('HGET', run, seq)
  if ids then
    local lease = holder .. seq
    for id in string.gmatch(ids, '[^\n]+') do
      local rec = CALL('GET', P .. 'r:' .. id)
      if rec and string.sub(rec, 2, 2) == 'T' and string.sub(rec, 23, 52) == lease then
        if SEEN then SEEN[#SEEN + 1] = id end
        if #out == 0 then out[1] = string.sub(rec, 11, 52) end
        out[#out + 1] = id .. ':' .. version_before(string.sub(rec, 3, 10))
        out[#out + 1] = rec
      end
    end
  end
  -- a message may have been handed over with a wake-up: one that still lies there tells that nobody has the message
  if #out > 0 then
    CALL('UNLINK', P .. 'wake:' .. holder)
    -- nor does it come any more
    if HANDED then CALL('HDEL', worker, 'h' .. string.sub(holder, 17)) end
  end
  return out
end
if known[2] and tonumber(seq, 16) < tonumber(known[2], 16) then
  return redis.error_reply('OLDSEQUENCE ' .. known[2])
end
CALL('HSET', worker, 's' .. string.sub(holder, 17), seq)
if most == 0 then return {} end
move_due(100)

-- asked together: in most meshes there is neither
local some = CALL('EXISTS', P .. 'paused', P .. 'us') > 0
local paused = some and CALL('EXISTS', P .. 'paused') == 1
-- in groups: Lua can pass no more than some thousand arguments
local GROUP = 2000
local groups, sizes = {}, {}
for i = 7, #ARGV do
  if not paused or CALL('SISMEMBER', P .. 'paused', ARGV[i]) == 0 then
    if #groups == 0 or #groups[#groups] >= GROUP then groups[#groups + 1] = {} end
    local lines = groups[#groups]
    for priority = 9, 0, -1 do lines[#lines + 1] = P .. 'q:' .. ARGV[i] .. ':' .. priority end
  end
end
for g, lines in ipairs(groups) do
  sizes[g] = #lines
  lines[sizes[g] + 1] = 'LEFT'
  lines[sizes[g] + 2] = 'COUNT'
end
local group = 1

local function pop(count)
  while groups[group] do
    local lines, size = groups[group], sizes[group]
    lines[size + 3] = count
    local popped = CALL('LMPOP', size, unpack(lines))
    if popped then return popped end
    group = group + 1  -- nothing is put into it while this runs
  end
end

local lease = EPOCH .. holder .. seq
local out, ids, n = {lease}, {}, 0
local alone = false
local R = P .. 'r:'
local started = {}
-- a node that leads again what it led before may have a hint twice, and both of them in one draught
local twice = FLOOR and {}
while n < most and not alone do
  local popped = pop(most - n)
  if not popped then break end
  local line, hints = popped[1], popped[2]
  local names, keys = {}, {}
  for i = 1, #hints do
    names[i] = string.sub(hints[i], 1, -10)
    keys[i] = R .. names[i]
  end
  local records = CALL('MGET', unpack(keys))
  for i = 1, #hints do
    local hint, rec = hints[i], records[i]
    local version = string.sub(hint, -8)
    if twice then
      if twice[hint] then rec = nil end
      twice[hint] = true
    end
    if rec and string.sub(rec, 2, 2) == 'P' and string.sub(rec, 3, 10) == version then
      local singly = string.find('4567cdef', string.sub(rec, 62, 62), 1, true)
      if singly and n > 0 or alone then
        -- suspected of killing its worker: it is claimed alone, so the rest goes back in order
        local back = {}
        for j = #hints, i, -1 do back[#back + 1] = hints[j] end
        CALL('LPUSH', line, unpack(back))
        alone = true
        break
      end
      alone = singly
      n = n + 1
      local start = started[version]
      if not start then
        start = 'T' .. version_after(version) .. lease
        started[version] = start
      end
      -- in place: the envelope behind the head may be large
      CALL('SETRANGE', keys[i], 1, start)
      ids[n] = names[i]
      out[2 * n] = hint
      out[2 * n + 1] = rec
    end
  end
end

-- What a child claimed elsewhere stands here since this node leads its slot, and what it claimed here may be over elsewhere since
-- another one does: no commit tells this node that such a claim is done with, and as long as the child seems to hold something
-- it would never count as idle. One that runs many at once holds too much to look at, and does anyway.
local function forget_moved()
  local many = string.sub(holder, 17, 17) >= '8'
  for _, field in ipairs(CALL('HKEYS', run)) do
    if not many or string.sub(field, 1, 1) == '~' then
      local mine, holds = holder .. string.sub(field, -8), false
      for id in string.gmatch(CALL('HGET', run, field), '[^\n]+') do
        local head = CALL('GETRANGE', R .. id, 1, 51)
        holds = holds or (string.sub(head, 1, 1) == 'T' and string.sub(head, 22) == mine)
      end
      if not holds then CALL('HDEL', run, field) end
    end
  end
end

if n == 0 then
  if string.sub(EPOCH, 1, 1) == 'f' then forget_moved() end
  local by_ticket = is_by_ticket(holder)
  for i = 7, ARGV[6] == 'l' and 0 or #ARGV do
    local waits = by_ticket and 'tidle:'
      or paused and CALL('SISMEMBER', P .. 'paused', ARGV[i]) == 1 and 'pidle:' or 'idle:'
    CALL('ZADD', P .. waits .. ARGV[i], by_ticket and 0 or NOW, holder)
  end
  local next_due = CALL('ZRANGE', P .. 'd', 0, 0, 'WITHSCORES')
  return {next_due[2]}
end
CALL('HSET', run, seq, table.concat(ids, '\n'))
if some then let_go_when_claimed(ids) end
if ARGV[6] == '1' then
  local by_ticket = is_by_ticket(holder)
  for i = 7, #ARGV do
    if by_ticket then
      CALL('ZREM', P .. 'tidle:' .. ARGV[i], holder)
    else
      CALL('ZREM', P .. 'idle:' .. ARGV[i], holder)
      if paused then CALL('ZREM', P .. 'pidle:' .. ARGV[i], holder) end
    end
  end
end
return out
