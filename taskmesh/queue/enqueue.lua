-- Records messages and puts them in line; an id that is known already is left as it is.
-- parts: epoch, ready, handoff, gates, keyed, events
-- KEYS[1] prefix  ARGV: epoch, now_ms, then groups, each of one slot, queue, priority and function:
--   slot (4 hex), queue, priority, due_ms ('' = now), expires_ms ('' = never), function hash or '', function blob or '', n,
--   then n times id, record. A message with keys is a group of its own: 'K' for n, its keys (8, see the part `keyed`), id,
--   record.
-- Returns a string, a letter per message: 'a' accepted, 'k' known before, 'd' not recorded, since another one stands for
--   it, 'c' not recorded, since its idempotency key was given for something else. After these, for each 'd' and 'c', a
--   newline and the id of the other one, for 'c' a space and its task, too.
-- Errors: NEEDFUNCTION <hash> when the node lacks the function (nothing was changed).
-- No allow-oom: when the node's memory is full it refuses this script as a whole.
local function add_at(index, moment, members)
  local scored = {}
  for i = 1, #members do
    scored[2 * i - 1] = moment
    scored[2 * i] = members[i]
  end
  CALL('ZADD', index, unpack(scored))
end

-- What stands outside the record, and never changes: from it and the record another node can make all indexes.
local function keep_beside(ids, expires, keyed)
  local kept = {expires, '', '', '', '', '', '', '', ''}
  if keyed then
    local sequence = ARGV[keyed + 6]
    local taken = ARGV[keyed] ~= '' and CALL('HGET', P .. 'uq', ARGV[keyed]) or ''
    kept = {expires, ARGV[keyed], ARGV[keyed + 1], string.sub(taken, 1, 12), ARGV[keyed + 3], ARGV[keyed + 4], ARGV[keyed + 5],
      sequence, sequence ~= '' and CALL('ZSCORE', P .. 'sq:' .. sequence, ids[1]) or ''}
  end
  local words = {}
  for i = 1, #ids do
    words[2 * i - 1] = ids[i]
    words[2 * i] = table.concat(kept, '|')
  end
  CALL('HSET', P .. 'side', unpack(words))
end

local verdicts, blobs = {}, {}
local turned_away, take_keys
local at = 3
while at <= #ARGV do
  local hash = ARGV[at + 5]
  if ARGV[at + 6] ~= '' then blobs[hash] = ARGV[at + 6] end
  if hash ~= '' and not blobs[hash] and CALL('EXISTS', P .. 'fn:' .. hash) == 0 then
    return redis.error_reply('NEEDFUNCTION ' .. hash)
  end
  at = at + (ARGV[at + 7] == 'K' and 18 or 8 + 2 * tonumber(ARGV[at + 7]))
end
at = 3
while at <= #ARGV do
  local slot, queue, priority, due, expires, hash = unpack(ARGV, at, at + 5)
  local keyed = ARGV[at + 7] == 'K' and at + 8
  if keyed and not turned_away then turned_away, take_keys = keyed_by() end
  local n = keyed and 1 or tonumber(ARGV[at + 7])
  at = keyed and at + 16 or at + 8
  local ids, pairs_, hints = {}, {}, {}
  local records = LISTENED and {}
  for i = 1, n do
    local id = ARGV[at]
    ids[i] = id
    pairs_[2 * i - 1] = P .. 'r:' .. id
    pairs_[2 * i] = ARGV[at + 1]
    if records then records[id] = ARGV[at + 1] end
    at = at + 2
  end
  local away = keyed and turned_away(ids[1], keyed)
  if away then
    verdicts[#verdicts + 1] = away
    ids = {}
  elseif CALL('MSETNX', unpack(pairs_)) == 1 then
    verdicts[#verdicts + 1] = string.rep('a', n)
    for i = 1, n do hints[i] = ids[i] .. ':00000001' end
  else
    local accepted = {}
    for i = 1, n do
      if CALL('SETNX', pairs_[2 * i - 1], pairs_[2 * i]) == 1 then
        accepted[#accepted + 1] = ids[i]
        hints[#hints + 1] = ids[i] .. ':00000001'
        verdicts[#verdicts + 1] = 'a'
      else
        verdicts[#verdicts + 1] = 'k'
      end
    end
    ids = accepted
  end
  if records then
    for i = 1, #ids do event('sent', ids[i], records[ids[i]]) end
  end
  if #ids > 0 then
    if hash ~= '' then
      if blobs[hash] then CALL('SET', P .. 'fn:' .. hash, blobs[hash]) end
      CALL('HINCRBY', P .. 'fnref', hash, #ids)
    end
    CALL('SADD', P .. 'L:' .. slot, unpack(ids))
    if expires ~= '' then
      add_at(P .. 'e', expires, ids)
    end
    local blocked = keyed and take_keys(ids[1], queue, keyed)
    if FLOOR and (keyed or expires ~= '') then keep_beside(ids, expires, keyed) end
    -- whether others of the queue stood in line: then it is known
    local stood = false
    if blocked then
      -- it gets its hint when those before it are final
    elseif due == '' then
      local line = P .. 'q:' .. queue .. ':' .. priority
      local handed, holder = false, nil
      if n == 1 then handed, holder = hand_off(ids[1], ARGV[at - 1], queue, line) end
      if not handed then
        stood = CALL('RPUSH', line, unpack(hints)) > #hints
        if holder then CALL('RPUSH', P .. 'wake:' .. holder, '1') elseif n > 1 then wake(queue, #hints) end
      elseif keyed then
        let_go_when_claimed(ids)
      end
    else
      add_at(P .. 'd', due, hints)
      if tonumber(due) < NOW + SOON_MS then wake(queue, 1) end
    end
    if not stood then CALL('SADD', P .. 'queues', queue) end
  end
end
if LISTENED then tell_events() end
if #TOLD > 0 then return table.concat(verdicts) .. '\n' .. table.concat(TOLD, '\n') end
return table.concat(verdicts)
