-- Moves messages whose time has come from the delayed index to their line.
-- Of one that is parked the moment stays, until which it may wait; of others it has passed, and is dropped.
local function move_due(limit)
  local due = CALL('ZRANGEBYSCORE', P .. 'd', '-inf', NOW, 'LIMIT', 0, limit)
  local parked = #due > 0 and CALL('EXISTS', P .. 'parked') == 1
  for i = 1, #due do
    local hint = due[i]
    local id, version = string.sub(hint, 1, -10), string.sub(hint, -8)
    local key = P .. 'r:' .. id
    local rec = CALL('GET', key)
    if rec and string.sub(rec, 3, 10) == version and may_move(string.sub(rec, 2, 2), 'P')
      and string.sub(rec, 2, 2) ~= 'T' then
      local moment = string.rep('0', 12)
      if parked and string.sub(CALL('HGET', P .. 'parked', id) or '', -9) == ':' .. version then
        moment = string.sub(rec, 75, 86)
      end
      rec = string.sub(rec, 1, 1) .. 'P' .. version_after(version) .. string.sub(rec, 11, 74) .. moment
        .. string.sub(rec, 87)
      CALL('SET', key, rec)
      make_ready(id, rec, false)
    end
    CALL('ZREM', P .. 'd', hint)
  end
  return #due
end
