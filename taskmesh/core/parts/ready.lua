-- Hints: `id:version`. A hint whose record has moved on is dropped by the claim that meets it.
local VERSION_AFTER = {}
local function version_after(version)
  local after = VERSION_AFTER[version]
  if not after then
    after = string.format('%08x', tonumber(version, 16) + 1)
    VERSION_AFTER[version] = after
  end
  return after
end

local function queue_of(rec)
  return string.sub(rec, 109, 108 + tonumber(string.sub(rec, 103, 104), 16))
end

-- Wake up to n children that are idle on the queue, the one that became idle last first.
local function wake(queue, n)
  local idle = CALL('ZPOPMAX', P .. 'idle:' .. queue, n)
  for i = 1, #idle, 2 do CALL('RPUSH', P .. 'wake:' .. idle[i], '1') end
end

-- Put a record back in line. `front`: it was in line before.
local function make_ready(id, rec, front)
  local queue = queue_of(rec)
  CALL(front and 'LPUSH' or 'RPUSH', P .. 'q:' .. queue .. ':' .. string.sub(rec, 61, 61),
    id .. ':' .. string.sub(rec, 3, 10))
  wake(queue, 1)
end
