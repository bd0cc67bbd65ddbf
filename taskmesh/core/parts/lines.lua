-- The ends of lines. A hint whose record has moved on stays where it stands, since to take it out of the middle costs as much as
-- the line is long, and a claim passes over it for nothing. From the ends it is taken, by whoever ends what waits: so what is first in
-- a line waits, unless a claim has just bared it, and where nobody waits there is no line.
local function trim_line(line, most)
  for _, pop in ipairs({'LPOP', 'RPOP'}) do
    local at = pop == 'LPOP' and 0 or -1
    for _ = 1, most do
      local hint = CALL('LINDEX', line, at)
      if not hint or CALL('GETRANGE', P .. 'r:' .. string.sub(hint, 1, -10), 1, 9) == 'P' .. string.sub(hint, -8) then break end
      CALL(pop, line)
    end
  end
end
