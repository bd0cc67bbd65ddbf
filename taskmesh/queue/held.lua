-- Lists what a child holds.
-- flags: no-writes
-- parts: epoch
-- KEYS[1] prefix  ARGV: epoch, now_ms, holder
-- Returns a flat list: sequence, position (from 1), id, head of the record (108 bytes) ...
--   What was claimed on another node, whose slot this one leads since, has `~` and the slot (4 hex) before its sequence.
local out, run = {}, CALL('HGETALL', P .. 'run:' .. ARGV[3])
for f = 1, #run, 2 do
  local lease, i = ARGV[3] .. string.sub(run[f], -8), 0
  for id in string.gmatch(run[f + 1], '[^\n]+') do
    i = i + 1
    local head = CALL('GETRANGE', P .. 'r:' .. id, 0, 107)
    if string.sub(head, 2, 2) == 'T' and string.sub(head, 23, 52) == lease then
      out[#out + 1] = run[f]
      out[#out + 1] = i
      out[#out + 1] = id
      out[#out + 1] = head
    end
  end
end
return out
