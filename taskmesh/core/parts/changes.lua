-- A mesh of several nodes, behind the body of a script (`main`): it sees the records that this node leads, and only those; what it
-- changed is told behind its reply, so that the caller brings it to the backups. Notices wait for that, too.
-- Reply: '+', the reply, then of each record that was changed or seen: 'w', id, record, what stands beside it; or 'h', id, the version
--   on which the change stands, head (108 bytes), where the rest stayed as it was, or is so large that who lacks it fetches it in
--   pieces: then that version is its own. 'b', hash, id, version, value: what is noted
--   beside a record that runs or waits. 'p', channel, notice. 'u', child, sequence, id, version before: what the child is handed.
local CHANGED, ORDER, BASE, BESIDE, NOTICES_OF = {}, {}, {}, {}, {}
-- What was read and written is not read again: the versions that records were seen with, and whole records as they stand now.
local SEEN_AT, STANDS = {}, {}
local NOTED = {[P .. 'rv'] = 'rv', [P .. 'tellings'] = 'tellings', [P .. 'parked'] = 'parked'}
-- What is larger goes to other nodes in pieces, which is also how much one of these has.
LARGE_BYTES = 1048576
local RECORD, SLOT, OWN = P .. 'r:', P .. 'L:', nil
SEEN, HANDED = {}, {}

do
  -- the number of the view in 36 digits, its last four; and four for moves within the view
  local number, digits = tonumber(string.sub(EPOCH, 2), 16) % 1679616, ''
  for _ = 1, 4 do
    local digit = number % 36
    digits = string.char(digit < 10 and 48 + digit or 87 + digit) .. digits
    number = (number - digit) / 36
  end
  FLOOR = digits .. '0000'
end

local function id_of(key)
  return string.sub(key, 1, #RECORD) == RECORD and string.sub(key, #RECORD + 1) or nil
end

local function leads(slot)
  OWN = OWN or redis.call('GET', P .. 'own') or ''
  return string.byte(OWN, (tonumber(slot, 16) or 0) + 1) == 49
end

local function note(id, how)
  if COPIES then return end
  if not CHANGED[id] then
    ORDER[#ORDER + 1] = id
    if how == 'h' then BASE[id] = SEEN_AT[id] or redis.call('GETRANGE', RECORD .. id, 2, 9) end
  end
  if CHANGED[id] ~= 'w' then CHANGED[id] = how end
end

local function forget(key, id)
  local slot = redis.call('GETRANGE', key, 52, 55)
  if slot ~= '' then redis.call('SREM', P .. 'F:' .. slot, id) end
  redis.call('HDEL', P .. 'side', id)
end

local HOOKS = {
  GET = function(key)
    local found = redis.call('GET', key)
    local id = found and not COPIES and id_of(key)
    if id then
      if not leads(string.sub(found, 53, 56)) then return false end
      SEEN_AT[id] = string.sub(found, 3, 10)
    end
    return found
  end,
  MGET = function(...)
    local keys, found = {...}, redis.call('MGET', ...)
    if not COPIES then
      for i = 1, #keys do
        -- a script asks for records only, many at a time
        if found[i] and not leads(string.sub(found[i], 53, 56)) then
          found[i] = false
        elseif found[i] then
          SEEN_AT[string.sub(keys[i], #RECORD + 1)] = string.sub(found[i], 3, 10)
        end
      end
    end
    return found
  end,
  GETRANGE = function(key, first, last)
    if not COPIES and id_of(key) and not leads(redis.call('GETRANGE', key, 52, 55)) then return '' end
    return redis.call('GETRANGE', key, first, last)
  end,
  SET = function(key, value, ...)
    local id = id_of(key)
    if id then
      note(id, 'w')
      STANDS[id] = value
    end
    return redis.call('SET', key, value, ...)
  end,
  SETRANGE = function(key, ...)
    local id = id_of(key)
    if id then
      note(id, 'h')
      STANDS[id] = nil
    end
    return redis.call('SETRANGE', key, ...)
  end,
  SETNX = function(key, value)
    local id, done = id_of(key), redis.call('SETNX', key, value)
    note(id, 'w')
    if done == 1 then STANDS[id] = value end
    return done
  end,
  HSET = function(key, ...)
    local words, hash = {...}, NOTED[key]
    if hash then
      for i = 1, #words, 2 do
        BESIDE[#BESIDE + 1] = {hash, words[i], words[i + 1]}
      end
    end
    return redis.call('HSET', key, ...)
  end,
  SREM = function(key, ...)
    local gone = redis.call('SREM', key, ...)
    -- final, and not forgotten yet
    if string.sub(key, 1, #SLOT) == SLOT then redis.call('SADD', P .. 'F:' .. string.sub(key, #SLOT + 1), ...) end
    return gone
  end,
  PUBLISH = function(channel, notice)
    NOTICES_OF[#NOTICES_OF + 1] = {string.sub(channel, #P + 3), notice}
    return 0
  end,
}

local function many(command)
  return function(...)
    local words, done = {...}, redis.call(command, ...)
    for i = 1, #words, 2 do
      local id = id_of(words[i])
      if id then
        note(id, 'w')
        if done ~= 0 then STANDS[id] = words[i + 1] end
      end
    end
    return done
  end
end
HOOKS.MSET, HOOKS.MSETNX = many('MSET'), many('MSETNX')

local function remove(command)
  return function(...)
    local keys = {...}
    for i = 1, #keys do
      local id = id_of(keys[i])
      if id then
        STANDS[id] = nil
        forget(keys[i], id)
      end
    end
    return redis.call(command, ...)
  end
end
HOOKS.DEL, HOOKS.UNLINK = remove('DEL'), remove('UNLINK')

CALL = function(command, ...)
  local hook = HOOKS[command]
  if hook then return hook(...) end
  return redis.call(command, ...)
end

local reply = main()
if type(reply) == 'table' and reply.err then return reply end
if reply == nil then reply = false end
for i = 1, #SEEN do note(SEEN[i], 's') end
local told, sides = {'+', reply}, nil
for i = 1, #ORDER do
  local id = ORDER[i]
  local n = #told
  local size = CHANGED[id] ~= 'w' and 0 or STANDS[id] and #STANDS[id] or redis.call('STRLEN', RECORD .. id)
  if size > LARGE_BYTES then
    local head = redis.call('GETRANGE', RECORD .. id, 0, 107)
    told[n + 1], told[n + 2], told[n + 3], told[n + 4] = 'h', id, string.sub(head, 3, 10), head
  elseif CHANGED[id] == 'w' then
    local record = STANDS[id] or redis.call('GET', RECORD .. id)
    if record then
      if sides == nil then sides = redis.call('EXISTS', P .. 'side') == 1 end
      told[n + 1], told[n + 2], told[n + 3] = 'w', id, record
      told[n + 4] = sides and redis.call('HGET', P .. 'side', id) or ''
    end
  else
    local head = redis.call('GETRANGE', RECORD .. id, 0, 107)
    if head ~= '' then
      told[n + 1], told[n + 2], told[n + 3], told[n + 4] = 'h', id, BASE[id] or string.sub(head, 3, 10), head
    end
  end
end
for _, beside in ipairs(BESIDE) do
  local n, version = #told, redis.call('GETRANGE', RECORD .. beside[2], 2, 9)
  if version ~= '' then
    told[n + 1], told[n + 2], told[n + 3], told[n + 4], told[n + 5] = 'b', beside[1], beside[2], version, beside[3]
  end
end
for _, notice in ipairs(NOTICES_OF) do
  local n = #told
  told[n + 1], told[n + 2], told[n + 3] = 'p', notice[1], notice[2]
end
for _, handed in ipairs(HANDED) do
  local n = #told
  told[n + 1], told[n + 2], told[n + 3], told[n + 4], told[n + 5] = 'u', unpack(handed)
end
return told
