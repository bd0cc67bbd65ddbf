-- Tells what was accepted, and changes nothing.
-- flags: no-writes
-- parts: acceptor
-- KEYS[1] prefix  ARGV: instance, configuration, registers
-- Returns {'ACCEPTED', then for each register: n, proposer, digest, value} (0, 0, '', '' for none), or a refusal as
--   parts/acceptor.lua makes it.
local no = refusal()
if no then return no end
local out = {'ACCEPTED'}
for i = 3, #ARGV do
  local r = register(ARGV[i])
  out[#out + 1] = whole(r[3])
  out[#out + 1] = whole(r[4])
  out[#out + 1] = r[5] or ''
  out[#out + 1] = r[6] or ''
end
return out
