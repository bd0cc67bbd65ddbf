-- Moves messages whose time has come from the delayed index to their line.
local function move_due(limit)
  local due = CALL('ZRANGEBYSCORE', P .. 'd', '-inf', NOW, 'LIMIT', 0, limit)
  for i = 1, #due do
    local hint = due[i]
    local id, version = string.sub(hint, 1, -10), string.sub(hint, -8)
    local key = P .. 'r:' .. id
    local rec = CALL('GET', key)
    if rec and string.sub(rec, 3, 10) == version and may_move(string.sub(rec, 2, 2), 'P')
      and string.sub(rec, 2, 2) ~= 'T' then
      rec = string.sub(rec, 1, 1) .. 'P' .. version_after(version) .. string.sub(rec, 11)
      CALL('SET', key, rec)
      make_ready(id, rec, false)
    end
    CALL('ZREM', P .. 'd', hint)
  end
  return #due
end
