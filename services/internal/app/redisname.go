package app

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/redis/go-redis/v9"
)

// redisName has errors of the connection say whose it is: an operator who reads of an address and a port
// would have to look up which server that is.
type redisName struct{}

// DialHook leaves a dial as it is: the client decides by its bare error whether to try again.
func (redisName) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessHook names the error of a command.
func (redisName) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := named(next(ctx, cmd))
		if err != nil {
			cmd.SetErr(err)
		}
		return err
	}
}

// ProcessPipelineHook names the errors of several commands.
func (redisName) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		err := named(next(ctx, cmds))
		for _, cmd := range cmds {
			if cmd.Err() != nil {
				cmd.SetErr(named(cmd.Err()))
			}
		}
		return err
	}
}

func named(err error) error {
	if connection := (*net.OpError)(nil); errors.As(err, &connection) {
		return fmt.Errorf("the Redis server cannot be asked: %w", err)
	}
	return err
}
