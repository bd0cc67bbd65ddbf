-- What two copies of a record are compared by: its version (8), then '1' if it was told to be revoked, which makes no
-- version. A copy with a greater one of these is the newer one. Then '1' if its outcome is here: a node that is short of memory
-- drops its own copies of outcomes before their time.
local REMEMBER_MS = 600000

-- Nothing is forgotten before all copies of it were level (see `sweep.lua`): until then it must be seen, or an older copy would be
-- taken for the truth.
local LEVEL
local function is_level(ended_ms)
  if LEVEL == nil then LEVEL = tonumber(CALL('GET', P .. 'level') or '') or 0 end
  return ended_ms < LEVEL
end

-- Returns nil for what is not there, or final for so long that each copy may be forgotten by itself.
local function mark_of(id)
  local head = CALL('GETRANGE', P .. 'r:' .. id, 0, 101)
  if #head < 102 then return nil end
  local outcome = '0'
  if is_final(string.sub(head, 2, 2)) then
    local ended = tonumber(string.sub(head, 75, 86), 16) or 0
    local kept_ms = (tonumber(string.sub(head, 87, 94), 16) or 0) * 1000
    if ended + math.max(kept_ms, REMEMBER_MS) <= NOW and is_level(ended) then return nil end
    -- after its time each node drops it when it comes to that; and a node that would not take one now does not ask for it
    local is_due = ended + kept_ms <= NOW or string.find('13579bdf', string.sub(head, 62, 62), 1, true)
    if not is_due and (string.sub(head, 95, 102) ~= '00000000' or is_short()) then outcome = '1' end
  end
  local revoked = string.find('2367abef', string.sub(head, 62, 62), 1, true) and '1' or '0'
  return string.sub(head, 3, 10) .. revoked .. outcome
end
