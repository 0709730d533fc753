-- Work for Lua, by itself: the nanoseconds of each function, as the last word of its line.
local function fib(n)
    if n < 2 then return n end
    return fib(n - 1) + fib(n - 2)
end

local function tables()
    local seed, list = 42, {}
    for i = 1, 300000 do
        seed = (seed * 1103515245 + 12345) % 2147483648
        list[i] = seed
    end
    table.sort(list)
    local index = {}
    for i, value in ipairs(list) do index[value] = i end
    return index[list[1000]]
end

local function strings()
    local parts = {}
    for i = 1, 200000 do parts[i] = ("%d:%s"):format(i, ("x"):rep(i % 10)) end
    local text = table.concat(parts, ",")
    local count = 0
    for number in text:gmatch("(%d+):xxx[,x]") do count = count + #number end
    return #text:gsub("xx", "y"):upper(), count
end

local function floats()
    local x, y = 0.0, 0.0
    for i = 1, 6000000 do
        x = x + math.sqrt(i) * 0.5 - y / (i + 1.5)
        y = y * 0.99 + x % 7.25
    end
    return x, y
end

for _, work in ipairs { { "fib", fib, 31 }, { "tables", tables }, { "strings", strings }, { "floats", floats } } do
    local start = os.clock()
    local result = work[2](work[3])
    print(work[1], result, ("%d"):format((os.clock() - start) * 1e9 // 1))
end
