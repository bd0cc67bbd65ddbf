-- A broker's ticket says that a queue may have work: gives what is ready to children of one worker that are idle.
-- flags: allow-oom
-- parts: epoch, ready, handoff, gates
-- KEYS[1] prefix  ARGV: epoch, now_ms, incarnation of the worker, queue, most
-- Each of so many children at most is handed one message with its wake-up; what cannot be handed over it is woken for.
-- Returns {children that were woken, 'n' nothing more is to be given, 'b' more is ready and no child of the worker is idle,
--   'm' more is ready, and so many were woken}.
-- From a queue that is paused nothing is given. A repeat gives more, which does no harm.
local incarnation, queue, most = ARGV[3], ARGV[4], tonumber(ARGV[5])
local idle, lines = P .. 'tidle:' .. queue, {}
for priority = 9, 0, -1 do lines[#lines + 1] = P .. 'q:' .. queue .. ':' .. priority end

-- asked together: in most meshes there is neither
local some = CALL('EXISTS', P .. 'paused', P .. 'us') > 0
if some and CALL('SISMEMBER', P .. 'paused', queue) == 1 then return {0, 'n'} end

-- Members have one score, so they stand by their names; hex digits come before the g.
local function idle_here()
  while true do
    local holder = CALL('ZRANGEBYLEX', idle, '[' .. incarnation, '(' .. incarnation .. 'g', 'LIMIT', 0, 1)[1]
    if not holder then return nil end
    CALL('ZREM', idle, holder)
    local last = last_if_free(holder)
    if last then return holder, last end
  end
end

-- The line, id and record of the message that is first; hints on the way to it whose record has moved on are dropped.
local function first_ready()
  while true do
    local popped = CALL('LMPOP', #lines, lines[1], lines[2], lines[3], lines[4], lines[5], lines[6], lines[7], lines[8],
      lines[9], lines[10], 'LEFT')
    if not popped then return nil end
    local hint = popped[2][1]
    local id = string.sub(hint, 1, -10)
    local rec = CALL('GET', P .. 'r:' .. id)
    if rec and string.sub(rec, 2, 2) == 'P' and string.sub(rec, 3, 10) == string.sub(hint, -8) then
      return popped[1], id, rec
    end
  end
end

local given = 0
while CALL('EXISTS', unpack(lines)) > 0 do
  if given == most then return {given, 'm'} end
  local holder, last = idle_here()
  if not holder then return {given, 'b'} end
  local line, id, rec = first_ready()
  if not id then
    CALL('ZADD', idle, 0, holder)
    break
  end
  given = given + 1
  if not may_be_handed(rec) then
    -- it claims that itself, and with it what else is ready
    CALL('LPUSH', line, id .. ':' .. string.sub(rec, 3, 10))
    CALL('RPUSH', P .. 'wake:' .. holder, '1')
    break
  end
  hand(holder, last, id, rec)
  if some then let_go_when_claimed({id}) end
end
return {given, 'n'}
