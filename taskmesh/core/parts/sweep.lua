-- Removes what is due for removal: outcomes after their time, records ten minutes after their end,
-- functions that nothing refers to. `ahead_s`: treat so much more as due (memory is short).
local REMEMBER_MS = 600000
-- However short memory is, a result stays so long: its caller may be about to read it.
local YOUNG_MS = 60000

-- Made when something is due: each function that is made costs each run of a script. Returns what removes a record, what notes
-- when those are due that stay for now, to be called behind it, and what removes some of a minute.
local function sweeper()
  -- Whether the node knows idempotency keys at all; asked once per script, when a record is forgotten.
  local IDEMPOTENT

  local function forget_key(id)
    if IDEMPOTENT == nil then IDEMPOTENT = CALL('EXISTS', P .. 'ikid') == 1 end
    local digest = IDEMPOTENT and CALL('HGET', P .. 'ikid', id)
    if digest then
      CALL('HDEL', P .. 'ikid', id)
      CALL('HDEL', P .. 'ik', digest)
    end
  end

  -- Ids to be removed in a minute to come; by that.
  local LATER = {}

  local function remove_later(id, minute)
    LATER[minute] = LATER[minute] or {}
    table.insert(LATER[minute], id)
  end

  local function remove_all_later()
    for minute, ids in pairs(LATER) do remove_in(minute, ids) end
    LATER = {}
  end

  -- Up to which moment cursors say of all firings that they were sent; asked once per script. Until then a leader may be
  -- lost that has sent one, and the next one sends it again: its id must be known.
  local SETTLED
  local AGAIN_MINUTES = 10

  local function is_unsettled(id)
    local moment = string.match(id, '@(%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%d)[.%d]*Z$')
    if not moment then return false end
    if SETTLED == nil then SETTLED = CALL('GET', P .. 'settled') or false end
    return SETTLED and moment >= SETTLED
  end

  -- In a mesh of several nodes nothing is forgotten before every copy of it is known to be level: an older one could be taken for
  -- what is true. `level`: up to which moment (ms) that is so.
  local LEVEL

  local function is_level(ended_ms)
    if not FLOOR then return true end
    if LEVEL == nil then LEVEL = tonumber(CALL('GET', P .. 'level') or '') or 0 end
    return ended_ms < LEVEL
  end

  -- What came in pieces, and whose sender is gone.
  local LEFT_MS = 300000

  local function sweep_pieces(id)
    local stands = CALL('HGET', P .. 'coming', id)
    if not stands then return end
    if (tonumber(string.sub(stands, 1, 12), 16) or 0) + LEFT_MS > NOW then
      remove_later(' ' .. id, math.floor(NOW / 60000) + AGAIN_MINUTES)
    else
      CALL('HDEL', P .. 'coming', id)
      CALL('UNLINK', P .. 'c:' .. id)
    end
  end

  -- Whether pieces of any copy are coming; asked once per script.
  local COMING

  -- They are of what is being removed.
  local function forget_pieces(id)
    if COMING == nil then COMING = FLOOR and CALL('EXISTS', P .. 'coming') == 1 end
    if COMING and CALL('HDEL', P .. 'coming', id) == 1 then CALL('UNLINK', P .. 'c:' .. id) end
  end

  -- `next_of`: tells the next version, where somebody wishes it and all copies are to follow.
  local function sweep_record(id, next_of)
    -- no id has a space
    if string.byte(id) == 32 then return sweep_pieces(string.sub(id, 2)) end
    local key = P .. 'r:' .. id
    local rec = CALL('GET', key)
    if not rec or not is_final(string.sub(rec, 2, 2)) then return end
    local qlen = (tonumber(string.sub(rec, 103, 104), 16) or 0)
    local clen = (tonumber(string.sub(rec, 105, 106), 16) or 0)
    local flen = (tonumber(string.sub(rec, 107, 108), 16) or 0)
    if flen > 0 then
      local at = 109 + qlen + clen
      local hash = string.sub(rec, at, at + flen - 1)
      if CALL('HINCRBY', P .. 'fnref', hash, -1) <= 0 then
        CALL('HDEL', P .. 'fnref', hash)
        CALL('UNLINK', P .. 'fn:' .. hash)
      end
    end
    CALL('ZREM', P .. 'dead', id)
    forget_pieces(id)
    local forget_at = (tonumber(string.sub(rec, 75, 86), 16) or 0) + REMEMBER_MS
    local unsettled = forget_at <= NOW and (is_unsettled(id) or not is_level(forget_at - REMEMBER_MS))
    if unsettled then forget_at = NOW + AGAIN_MINUTES * 60000 end
    if forget_at <= NOW then
      CALL('UNLINK', key)
      forget_key(id)
    else
      -- the state alone, so that sending the id again is still harmless. What all copies are to drop at somebody's wish is a change;
      -- what a node drops by itself is none: another one may bring it back
      local version = string.sub(rec, 3, 10)
      if FLOOR and next_of then version = next_of(version) end
      CALL('SET', key, string.sub(rec, 1, 2) .. version .. string.sub(rec, 11, 94) .. '00000000' .. string.sub(rec, 103, 104) .. '0000'
        .. string.sub(rec, 109, 108 + qlen))
      remove_later(id, math.floor(forget_at / 60000) + 1)
    end
  end

  local function sweep_function(hash)
    if tonumber(CALL('HGET', P .. 'fnref', hash) or '0') <= 0 then
      CALL('HDEL', P .. 'fnref', hash)
      CALL('UNLINK', P .. 'fn:' .. hash)
    end
  end

  local function sweep_some(limit, ahead_s, minute)
    local groups = CALL('LPOP', P .. 'x:' .. minute, math.ceil(limit / BUCKET_GROUP))
    if groups then
      local n = 0
      for i = 1, #groups do
        for id in string.gmatch(groups[i], '[^\n]+') do
          n = n + 1
          local ended = ahead_s > 0 and tonumber(CALL('GETRANGE', P .. 'r:' .. id, 74, 85), 16)
          if ended and ended + YOUNG_MS > NOW then
            remove_later(id, minute)
          else
            sweep_record(id)
          end
        end
      end
      remove_all_later()
      return n
    end
    local hashes = CALL('LPOP', P .. 'xf:' .. minute, limit)
    if hashes then
      for i = 1, #hashes do sweep_function(hashes[i]) end
      return #hashes
    end
    CALL('ZREM', P .. 'xb', minute)
    return 0
  end

  return sweep_record, remove_all_later, sweep_some
end

local function sweep(limit, ahead_s)
  local until_minute = math.floor((NOW + ahead_s * 1000) / 60000)
  local minute = CALL('ZRANGEBYSCORE', P .. 'xb', '-inf', until_minute, 'LIMIT', 0, 1)[1]
  if not minute then return 0 end
  local _, _, sweep_some = sweeper()
  COPIES = true
  local n = sweep_some(limit, ahead_s, minute)
  COPIES = false
  return n
end
