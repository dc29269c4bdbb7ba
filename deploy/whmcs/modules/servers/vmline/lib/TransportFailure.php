<?php

namespace WHMCS\Module\Server\Vmline;

/**
 * There was no answer. Whether the request arrived is known only if nothing was sent.
 */
final class TransportFailure extends Failure
{
    public function __construct(string $message, public readonly bool $mayHaveArrived)
    {
        parent::__construct($message);
    }
}
