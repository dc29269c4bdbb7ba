-- Notes who holds numbers according to the truth, whoever was thought to.
-- KEYS: marker, free, given, owners. ARGV: layout, then number and owner in turn.
-- Returns 1, or nil while the index is closed.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return false end
for i = 2, #ARGV, 2 do
  local n, owner = ARGV[i], ARGV[i + 1]
  local was = redis.call('HGET', KEYS[3], n)
  if was ~= owner then
    if was then store(was, without(numbers_of(was), n)) end
    redis.call('HSET', KEYS[3], n, owner)
    local list = numbers_of(owner)
    list[#list + 1] = n
    store(owner, list)
  end
end
return 1
