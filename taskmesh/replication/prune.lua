-- Takes out of an index what does not belong there: messages of slots that this node leads no more, and such as have moved on
-- while others led them. It goes by steps.
-- flags: allow-oom
-- parts: epoch
-- KEYS[1] prefix  ARGV: epoch, now_ms, 'dead' or 'd', cursor ('0' = begin), about how many
-- Returns {cursor of the next step ('0' = that was all), how many were taken out}. A repeat takes out nothing more.
-- Whoever comes to lead a slot makes its indexes anew from records, so nothing is lost here.
local of_dead, gone = ARGV[3] == 'dead', {}
local index = of_dead and P .. 'dead' or P .. 'd'
local cursor, found = unpack(CALL('ZSCAN', index, ARGV[4], 'COUNT', ARGV[5]))
for i = 1, #found, 2 do
  local member = found[i]
  local id = of_dead and member or string.sub(member, 1, -10)
  -- empty if another node leads it
  local head = CALL('GETRANGE', P .. 'r:' .. id, 0, 107)
  local belongs
  if of_dead then
    -- of one that was dropped no outcome is left
    belongs = string.sub(head, 2, 2) == 'D' and string.sub(head, 95, 102) ~= '00000000'
  else
    belongs = string.sub(head, 3, 10) == string.sub(member, -8)
  end
  if not belongs then gone[#gone + 1] = member end
end
for first = 1, #gone, 1000 do CALL('ZREM', index, unpack(gone, first, math.min(first + 999, #gone))) end
return {cursor, #gone}
