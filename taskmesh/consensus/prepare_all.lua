-- First phase of many registers at once, each by itself: where one stands against it, the others are promised all the same.
-- flags: allow-oom
-- parts: acceptor, phases
-- KEYS[1] prefix  ARGV: instance, configuration, ballot (n, proposer), registers
-- Returns {'PROMISED', then for each register: '1', accepted n, proposer, digest, value, or '0', '0', '0', '', '' if it is not
--   promised}, or a refusal as parts/acceptor.lua makes it.
local no = refusal()
if no then return no end
local out = {'PROMISED'}
for i = 5, #ARGV do
  local told, at = promise(ARGV[i], ARGV[3], ARGV[4]), #out
  if told[1] == 'PROMISED' then
    out[at + 1], out[at + 2], out[at + 3], out[at + 4], out[at + 5] = '1', told[2], told[3], told[4], told[5]
  else
    out[at + 1], out[at + 2], out[at + 3], out[at + 4], out[at + 5] = '0', '0', '0', '', ''
  end
end
return out
