-- Keys of a message that is to be recorded: does another one hold them, and what it takes.
-- `at` is where they stand in ARGV: digest of the unique key, 's' or 'f' (held until started, or finished), how long at
-- most (ms, '' = for ever), digest of the idempotency key, what it was given for (32 hex), the task's name (hex),
-- digest of the sequence key, id of the ended message in whose place it is sent. '' where there is none.
local TOLD = {}

-- Made when a message has keys, since each function costs each run of a script.
local function keyed_by()
  -- Who is told that another message stands for its own has nothing but that one: it must count.
  local function stands_for(id)
    if SEEN then SEEN[#SEEN + 1] = id end
  end

  -- Returns a verdict if the message is not to be recorded: 'd' another one stands for it, 'c' its idempotency key was
  -- given for something else. TOLD then gets the id of that one, and for 'c' its task.
  local function turned_away(id, at)
    if CALL('EXISTS', P .. 'r:' .. id) == 1 then return nil end
    local unique, idempotency = ARGV[at], ARGV[at + 3]
    if idempotency ~= '' then
      local known = CALL('HGET', P .. 'ik', idempotency)
      local told = known and string.sub(known, 33)
      local first = told and string.match(told, '^[^ ]*')
      if known and first ~= ARGV[at + 7] then
        local same = string.sub(known, 1, 32) == ARGV[at + 4]
        stands_for(first)
        TOLD[#TOLD + 1] = same and first or told
        return same and 'd' or 'c'
      end
    end
    local taken = unique ~= '' and CALL('HGET', P .. 'uq', unique)
    if taken and (tonumber(string.sub(taken, 1, 12), 16) or 0) > NOW then
      TOLD[#TOLD + 1] = string.sub(taken, 13)
      stands_for(TOLD[#TOLD])
      return 'd'
    end
    return nil
  end

  -- Take the keys for a message that was recorded; returns true if it has to wait for its turn.
  local function take_keys(id, queue, at)
    local unique, idempotency, sequence = ARGV[at], ARGV[at + 3], ARGV[at + 6]
    local gates, blocked = '', false
    if unique ~= '' then
      local until_ms = ARGV[at + 2] == '' and NEVER or string.format('%012x', NOW + tonumber(ARGV[at + 2]))
      CALL('HSET', P .. 'uq', unique, until_ms .. id)
      if ARGV[at + 1] == 's' then CALL('HSET', P .. 'us', id, unique) end
      gates = 'u' .. unique
    end
    if idempotency ~= '' then
      -- the key leads here from now on, and must not go when the one in whose place this is sent is forgotten
      if ARGV[at + 7] ~= '' then CALL('HDEL', P .. 'ikid', ARGV[at + 7]) end
      CALL('HSET', P .. 'ik', idempotency, ARGV[at + 4] .. id .. ' ' .. ARGV[at + 5])
      CALL('HSET', P .. 'ikid', id, idempotency)
    end
    if sequence ~= '' then
      local line = P .. 'sq:' .. sequence
      local last = CALL('ZRANGE', line, -1, -1, 'WITHSCORES')
      CALL('ZADD', line, (tonumber(last[2]) or 0) + 1, id)
      blocked = last[1] ~= nil
      if blocked then CALL('SADD', P .. 'blk:' .. queue, id) end
      gates = gates .. 's' .. sequence
    end
    if gates ~= '' then CALL('HSET', P .. 'gate', id, gates) end
    return blocked
  end

  return turned_away, take_keys
end
