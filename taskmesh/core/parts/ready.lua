-- Hints: `id:version`. A hint whose record has moved on is dropped by the claim that meets it.
-- A record may hold anything: whoever can write into the node can write there. What should be a number and is
-- none counts as 0, so that one bad record cannot stop a script half-way, and with it the others of its batch.
local VERSION_AFTER = {}

-- Versions count in 36 digits, whose order is that of their letters.
local function version_after(version)
  local after = VERSION_AFTER[version]
  if not after then
    local at = string.find(version, '^[0-9a-z]+$') and #version or 0
    while at > 0 and string.byte(version, at) == 122 do at = at - 1 end
    if at == 0 then
      after = '00000001'
    else
      local digit = string.byte(version, at)
      after = string.sub(version, 1, at - 1) .. (digit == 57 and 'a' or string.char(digit + 1)) .. string.rep('0', #version - at)
    end
    if FLOOR and after < FLOOR then after = FLOOR end
    VERSION_AFTER[version] = after
  end
  return after
end

local function queue_of(rec)
  return string.sub(rec, 109, 108 + (tonumber(string.sub(rec, 103, 104), 16) or 0))
end

-- The sequence of a registered child's last claim, if the child may be given something. One that is registered on several
-- queues may have been given something since: a child that holds anything is not idle. One that runs many at once (its number
-- begins with 8 or more) is, until it signs off; but it is given nothing while an earlier wake-up lies on its list, or
-- the sequences of two claims would be taken before it hears of the first.
local function last_if_free(holder)
  local many = string.sub(holder, 17, 17) >= '8'
  if CALL('EXISTS', P .. (many and 'wake:' or 'run:') .. holder) == 1 then return nil end
  local child = string.sub(holder, 17)
  local known = CALL('HMGET', P .. 'w:' .. string.sub(holder, 1, 16), 'state', 's' .. child, 'h' .. child)
  -- a child that was reaped takes nothing any more; nor does one, for now, that is about to be handed a message
  if known[1] ~= 'live' or known[2] == 'ffffffff' or known[3] and known[3] == known[2] then return nil end
  return known[2] or '00000000'
end

-- The child that became idle last on the queue, taken off its list.
local function idle_child(queue)
  local idle = P .. 'idle:' .. queue
  while true do
    local holder = CALL('ZPOPMAX', idle)[1]
    if not holder then return nil end
    local last = last_if_free(holder)
    if last then return holder, last end
  end
end

-- An idle child looks by itself each second, and knows then when the next message is due: only for one that is due sooner
-- it has to be woken.
local SOON_MS = 1000

-- Wake up to n children that are idle on the queue.
local function wake(queue, n)
  for _ = 1, n do
    local holder = idle_child(queue)
    if not holder then return end
    CALL('RPUSH', P .. 'wake:' .. holder, '1')
  end
end

-- Put a record back in line. `front`: it was in line before.
local function make_ready(id, rec, front)
  local queue = queue_of(rec)
  local length = CALL(front and 'LPUSH' or 'RPUSH', P .. 'q:' .. queue .. ':' .. string.sub(rec, 61, 61),
    id .. ':' .. string.sub(rec, 3, 10))
  -- it may have been forgotten while nothing stood in it
  if length == 1 then CALL('SADD', P .. 'queues', queue) end
  wake(queue, 1)
end
