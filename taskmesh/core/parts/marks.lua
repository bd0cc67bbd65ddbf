-- What two copies of a record are compared by: its version (8), then '1' if it was told to be revoked, which makes no
-- version. A copy with a greater mark is the newer one.
local REMEMBER_MS = 600000

-- Returns nil for what is not there, or final for so long that each copy may be forgotten by itself.
local function mark_of(id)
  local head = CALL('GETRANGE', P .. 'r:' .. id, 0, 93)
  if #head < 94 then return nil end
  if is_final(string.sub(head, 2, 2)) then
    local ended = tonumber(string.sub(head, 75, 86), 16) or 0
    local kept_ms = (tonumber(string.sub(head, 87, 94), 16) or 0) * 1000
    if ended + math.max(kept_ms, REMEMBER_MS) <= NOW then return nil end
  end
  return string.sub(head, 3, 10) .. (string.find('2367abef', string.sub(head, 62, 62), 1, true) and '1' or '0')
end
